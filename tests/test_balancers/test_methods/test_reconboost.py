"""ReconBoost: turns that fit what the others miss, and rectification between them."""

import copy

import pytest
import torch
from torch.nn import functional as F

from mmcggm.balancers import Pass, ReconBoost
from mmcggm.balancers.methods.reconboost import overlap
from tests.many import many_batches, many_guided
from tests.tiny import batches, build_wrapper, classifier_guided, tiny_guided, tiny_runner
from tests.toy import ToyModel

SGD = dict(type='SGD', lr=0.1)


def reconboost(**settings):
    return dict(type='ReconBoost', any_fusion=True, turn_epochs=1, rectify_epochs=1, **settings)


class Predicted(Pass):
    """A pass in which the head returned these logits."""

    output = None

    def __init__(self, logits, labels):
        self.output, self._labels = logits, labels

    @property
    def task_loss(self):
        return F.cross_entropy(self.output, self._labels)

    def confidences_of(self, output):
        return output.softmax(1).gather(1, self._labels.unsqueeze(1)).squeeze(1)


@pytest.mark.parametrize('lam', [0.0, 0.3, 1.0])
@pytest.mark.parametrize('classes', ['truth', 'all'])
def test_the_gradient_at_the_logits_is_the_residual(lam, classes):
    generator = torch.Generator().manual_seed(0)
    logits, other = torch.randn(2, 6, 4, generator=generator)
    labels = torch.randint(0, 4, (6,), generator=generator)
    logits.requires_grad_()
    learner, others = Predicted(logits, labels), Predicted(other, labels)
    (learner.task_loss + lam * overlap(learner, others, classes)).backward()
    p, q, y = logits.detach().softmax(1), other.softmax(1), F.one_hot(labels, 4)
    if classes == 'all':
        expected = (1 - lam) * p - (y - lam * q)
    else:
        expected = (1 - lam * (q * y).sum(1, keepdim=True)) * (p - y)
    torch.testing.assert_close(logits.grad, expected / 6)


def test_it_is_the_divergence_but_for_a_constant():
    labels = torch.tensor([0, 2, 1])
    other, first, second = torch.randn(3, 3, 3, generator=torch.Generator().manual_seed(0))
    found, divergence = [], []
    for logits in (first, second):
        found.append(overlap(Predicted(logits, labels), Predicted(other, labels), 'all'))
        divergence.append(F.kl_div(logits.log_softmax(1), other.softmax(1), reduction='batchmean'))
    torch.testing.assert_close(found[0] - found[1], divergence[1] - divergence[0])


def test_where_the_others_are_sure_of_the_truth_nothing_is_left_to_learn():
    labels = torch.tensor([0, 0])
    logits = torch.zeros(2, 3, requires_grad=True)
    others = Predicted(torch.tensor([[50.0, 0.0, 0.0], [0.0, 0.0, 50.0]]), labels)
    learner = Predicted(logits, labels)
    (learner.task_loss + overlap(learner, others, 'truth')).backward()
    torch.testing.assert_close(logits.grad[0], torch.zeros(3))
    torch.testing.assert_close(logits.grad[1], torch.tensor([-2 / 3, 1 / 3, 1 / 3]) / 2)


@pytest.mark.parametrize('count', [2, 3, 6])
def test_an_update_of_a_turn_is_that_of_the_formula(count):
    guided, (batch,) = many_guided(count), many_batches(count, 1)
    wrapper = build_wrapper(guided, optimizer=SGD, balancer=reconboost(lam=0.4, consolidation=0.7))
    wrapper.balancer.load_state_dict({'epochs': 2})  # the second stage
    model = copy.deepcopy(guided.model)
    guided.train_step(batch, wrapper)

    h = [encoder(x) for encoder, x in zip(model.encoders, batch['x'].unbind(1), strict=True)]
    kept = {'learner': {1}, 'others': set(range(count)) - {1}, 'previous': {0}}
    logits = {
        name: model.fuse([x if i in some else 0 * x for i, x in enumerate(h)]) for name, some in kept.items()
    }
    truth = {name: z.softmax(1)[torch.arange(len(z)), batch['label']] for name, z in logits.items()}
    loss = (-(1 - 0.4 * truth['others'].detach()) * truth['learner'].log()).mean()
    gap = logits['learner'].softmax(1) - logits['previous'].softmax(1).detach()
    (loss + 0.7 * gap.square().mean()).backward()
    for name, parameter in model.named_parameters():
        grad = 0 if parameter.grad is None else parameter.grad
        torch.testing.assert_close(guided.model.get_parameter(name), parameter - 0.1 * grad)
        if name.startswith('encoders.') and not name.startswith('encoders.1'):
            assert torch.equal(guided.model.get_parameter(name), parameter)
    assert wrapper.balancer.stats['turn'].argmax() == 1
    torch.testing.assert_close(wrapper.balancer.stats['others'], truth['others'].mean())


def test_turns_and_rectification_follow_each_other():
    balancer = ToyModel(3).attached(ReconBoost(turn_epochs=2, rectify_epochs=1))
    seen = []
    for _ in range(10):
        seen.append(balancer.turn)
        balancer.end_epoch()
    assert seen == [0, 0, None, 1, 1, None, 2, 2, None, 0]
    balancer.active = False
    balancer.end_epoch()
    assert balancer.turn is None
    balancer.active = True
    assert balancer.turn == 0  # what was inactive did not count
    without = ToyModel(2).attached(ReconBoost(turn_epochs=1, rectify_epochs=0))
    without.end_epoch()
    assert without.turn == 1


@pytest.mark.parametrize('how', ['rectifying', 'inactive'])
def test_otherwise_it_trains_jointly(how):
    guided, (batch,) = many_guided(2), many_batches(2, 1)
    plain, wrapper = copy.deepcopy(guided), build_wrapper(guided, optimizer=SGD, balancer=reconboost())
    if how == 'rectifying':
        wrapper.balancer.end_epoch()
    else:
        wrapper.balancer.active = False
    guided.train_step(batch, wrapper)
    plain.train_step(batch, build_wrapper(plain, optimizer=SGD, balancer=None))
    for new, expected in zip(guided.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(new, expected)


@pytest.mark.parametrize('classes', ['truth', 'all'])
@pytest.mark.parametrize('count', [2, 3])
def test_trains_by_config(count, classes):
    guided, data = many_guided(count, late=True), many_batches(count, 10, size=32)
    wrapper = build_wrapper(guided, optimizer=SGD, balancer=reconboost(classes=classes))

    def loss():
        with torch.no_grad():
            return sum(guided(**batch, mode='loss')['loss'] for batch in data).item() / len(data)

    before = loss()
    for _ in range(4 * count):
        for batch in data:
            guided.train_step(batch, wrapper)
        wrapper.balancer.end_epoch()
    assert loss() < 0.8 * before


def test_resumed_equals_uninterrupted():
    guided, data = many_guided(2), many_batches(2, 5)
    wrapper = build_wrapper(guided, optimizer=SGD, balancer=reconboost())

    def train(model, optim_wrapper, some):
        for batch in some:
            model.train_step(batch, optim_wrapper)
            optim_wrapper.balancer.end_epoch()

    train(guided, wrapper, data[:3])
    resumed = copy.deepcopy(guided)
    again = build_wrapper(resumed, optimizer=SGD, balancer=reconboost())
    again.load_state_dict(copy.deepcopy(wrapper.state_dict()))
    train(guided, wrapper, data[3:])
    train(resumed, again, data[3:])
    for new, old in zip(resumed.parameters(), guided.parameters(), strict=True):
        assert torch.equal(new, old)


def test_trains_in_a_runner_and_in_half_precision(tmp_path):
    model = classifier_guided()
    config = dict(
        type='BalancedAmpOptimWrapper',
        constructor='GuidedOptimWrapperConstructor',
        optimizer=SGD,
        balancer=reconboost(),
    )
    runner = tiny_runner(tmp_path, max_epochs=3, model=model, optim_wrapper=config)
    runner.train()
    assert all(p.isfinite().all() for p in model.parameters())
    assert runner.optim_wrapper.balancer.state_dict() == {'epochs': 3}
    turns = runner.message_hub.get_scalar('train/balance/turn/left').data[0]
    assert {float(x) for x in turns} == {0.0, 1.0}


def test_what_it_cannot_do_is_refused():
    for bad, match in (
        (dict(lam=1.5), 'lam in'),
        (dict(consolidation=-1), 'consolidation >= 0'),
        (dict(classes='some'), "classes='truth'"),
        (dict(turn_epochs=0), 'turn_epochs >= 1'),
    ):
        with pytest.raises(ValueError, match=match):
            ReconBoost(**bad)
    guided = tiny_guided()
    with pytest.raises(ValueError, match='no probabilities'):
        guided.train_step(batches(1)[0], build_wrapper(guided, balancer=reconboost()))

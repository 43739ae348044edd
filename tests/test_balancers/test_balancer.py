"""The interface of methods: what a training calls, what methods are asked, and how little one takes."""

import inspect

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from mmcggm.balancers import Balancer, EncoderScaling, acting_on
from mmcggm.balancers import balancer as balancer_module
from tests.many import many_batches, many_guided
from tests.tiny import attached, balanced_gradients
from tests.toy import Shown, ToyModel, groups, toy_batch


class DGL(Balancer):
    """Disentangled gradient learning: encoders learn from their modality's own loss alone."""

    needs = acting_on('representations', 'loss')

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def changes(self):
        return dict.fromkeys(range(len(self.modalities)), Tensor.detach)

    def loss_term(self, seen):
        return self.alpha * sum(loss for loss in seen.unimodal_losses() if loss is not None)


@pytest.mark.parametrize('count', [2, 3, 6])
@pytest.mark.parametrize('alpha', [1.0, 0.25])
def test_disentangled_gradient_learning_is_a_method_of_a_few_lines(count, alpha):
    assert len(inspect.getsource(DGL).splitlines()) <= 20
    guided, (batch,) = many_guided(count), many_batches(count, 1)
    found = balanced_gradients(attached(DGL(alpha), guided), guided, batch)
    for index, (encoder, guide) in enumerate(zip(guided.model.encoders, guided.guides.values(), strict=True)):
        loss = F.cross_entropy(guide(encoder(batch['x'][:, index])), batch['label'])
        for name, parameter in encoder.named_parameters():
            (expected,) = torch.autograd.grad(loss, parameter, retain_graph=True)
            assert torch.equal(found[f'model.encoders.{index}.{name}'], alpha * expected)
    plain = balanced_gradients(attached(Balancer(), guided), guided, batch)
    assert all(torch.equal(found[n], g) for n, g in plain.items() if not n.startswith('model.encoders'))


class Watched(Balancer):
    """A method that does all that a method may, and says what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def changes(self):
        self.asked.append('changes')
        return {0: torch.zeros_like}

    def observe(self, seen):
        self.asked.append('observe')

    def loss_term(self, seen):
        self.asked.append('loss_term')
        return seen.task_loss

    def change_gradients(self):
        self.asked.append('change_gradients')

    def rate_factors(self):
        self.asked.append('rate_factors')
        return torch.tensor([0.5, 2.0])

    def end_update(self):
        self.asked.append('end_update')


@pytest.mark.parametrize('active', [True, False])
def test_an_inactive_method_observes_and_is_not_asked_to_act(active):
    model = ToyModel(2)
    balancer = model.attached(Watched())
    balancer.active = active
    optimizer = torch.optim.SGD(groups(model, 0.1, 0.1))
    for _ in range(2):  # micro-batches
        assert bool(balancer.pass_changes()) == active
        assert (balancer.see(Shown()) is not None) == active
    balancer.finish_update()
    with balancer.scaled_rates(optimizer):
        rates = [group['lr'] for group in optimizer.param_groups]
    assert rates == pytest.approx([0.05, 0.2, 0.1, 0.1] if active else [0.1] * 4)
    acting = ['changes', 'observe', 'loss_term'] * 2 + ['change_gradients', 'end_update', 'rate_factors']
    assert balancer.asked == (acting if active else ['observe', 'observe', 'end_update'])


def test_each_update_needs_a_pass_of_its_own():
    balancer = ToyModel(2).attached(Balancer())
    balancer.see(Shown())
    balancer.finish_update()
    with pytest.raises(RuntimeError, match=r'Balancer\.finish_update was called without `see` before it'):
        balancer.finish_update()


def test_one_that_needs_whole_encoders_refuses_sharded_ones(monkeypatch):
    class Whole(Balancer):
        needs = acting_on('gradients', whole_encoders=True)

    model = ToyModel(2)
    model.attached(Whole())
    monkeypatch.setattr(balancer_module, 'is_sharded', lambda parameter: parameter.shape == (5,))
    model.attached(Balancer())
    with pytest.raises(ValueError, match='Whole needs whole parameters, but the encoders are sharded: train'):
        model.attached(Whole())


class Slowing(EncoderScaling):
    def factors(self, seen):
        return torch.tensor([0.5, 3.0], dtype=torch.float64) * len(seen.guide_losses)


@pytest.mark.parametrize('active', [True, False])
def test_scaling_encoders_takes_one_function(active):
    model = ToyModel(2).double()
    balancer = model.attached(Slowing())
    balancer.active = active
    seen = model.step(*toy_batch(2))
    assert balancer.see(seen) is None
    seen.task_loss.backward()
    before = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    balancer.finish_update()
    for name, grad in before.items():
        factor = {'encoders.0': 1.0, 'encoders.1': 6.0}.get(name[:10], 1.0) if active else 1.0
        assert torch.equal(model.get_parameter(name).grad, factor * grad), name


def test_events_are_counted_without_being_read():
    balancer = Balancer()
    for happened in (True, False, True):
        balancer.count_event('something odd', torch.tensor(happened))
    assert isinstance(balancer.events['something odd'], Tensor) and balancer.events['something odd'] == 2

"""Several methods at once: each does what it does, and those that would undo each other are refused."""

import copy

import pytest
import torch
from torch.nn import functional as F

from mmcggm.balancers import (
    CGGM,
    MBSD,
    MSES,
    MSLR,
    OGM,
    OPM,
    PMR,
    AMCo,
    Combined,
    GradientBlending,
    Greedy,
    MMPareto,
    MultiLoss,
    ReLearning,
    build_balancer,
)
from mmcggm.balancers.methods.ogm import ogm_coefficients
from tests.many import many_batches, many_guided
from tests.tiny import attached, balanced_gradients, build_wrapper, weights
from tests.toy import Shown, ToyModel, groups, toy_batches, train

OGM_AND_LESSONS = [dict(type='OGM', alpha=0.7, enhance=False), dict(type='MultiLoss', weight=0.5)]


@pytest.mark.parametrize('count', [2, 3, 6])
def test_ogm_with_lessons_is_both_by_hand(count):
    guided, (batch,) = many_guided(count), many_batches(count, 1)
    model, guides = copy.deepcopy(guided.model), copy.deepcopy(guided.guides)
    parts = zip(guides.values(), model.encoders, batch['x'].unbind(1), strict=True)
    predictions = [guide(encoder(x)) for guide, encoder, x in parts]
    lessons = sum(F.cross_entropy(p, batch['label']) for p in predictions)
    (model(**batch, mode='loss')['loss'] + 0.5 * lessons).backward()
    sums = [p.softmax(1).gather(1, batch['label'].unsqueeze(1)).sum() for p in predictions]
    factors = ogm_coefficients(torch.stack(sums).detach(), 0.7)
    assert (factors < 1).any()

    balancer = attached(build_balancer(OGM_AND_LESSONS, 'balancer'), guided)
    found = balanced_gradients(balancer, guided, batch)
    for name, parameter in model.named_parameters():
        factor = factors[int(name.split('.')[1])] if name.startswith('encoders') else 1
        torch.testing.assert_close(found[f'model.{name}'], factor * parameter.grad)


@pytest.mark.parametrize(
    ('first', 'second', 'part'),
    [
        (OGM(), CGGM(), 'gradients'),
        (MMPareto(), MultiLoss(), 'loss'),
        (OPM(), Greedy(), 'representations'),
        (OPM(), AMCo(), 'representations'),
        (MSLR(), CGGM(magnitude='update'), 'rates'),
        (GradientBlending(), MBSD(), 'loss'),
    ],
)
def test_methods_that_would_undo_each_other_are_refused_by_name(first, second, part):
    names = [type(method).__name__ for method in (first, second)]
    for methods, (a, b) in (((first, second), names), ((second, first), names[::-1])):
        with pytest.raises(ValueError, match=f'{a} and {b} can not be combined: both change the {part}'):
            Combined(methods)
    with pytest.raises(ValueError, match='can not be combined'):
        Combined([ReLearning(), first, second])  # beside a third that clashes with none


@pytest.mark.parametrize(
    'methods',
    [[OGM(), MultiLoss()], [MBSD(), PMR(), ReLearning()], [MSLR(), OPM(), CGGM()], [CGGM(lam=0), MSLR()]],
)
def test_needs_are_those_of_all(methods):
    needs = Combined(methods).needs
    for name in ('rates', 'epochs', 'survey', 'whole_encoders', 'second_derivatives'):
        assert getattr(needs, name) == any(getattr(method.needs, name) for method in methods)
    assert needs.acts_on == frozenset().union(*(method.needs.acts_on for method in methods))


def test_validation_that_one_needs_is_needed_and_seen_by_all():
    balancer = Combined([MSES(weight=0), MSLR(history=1), ReLearning()])
    assert balancer.needs.validation == 'scores'
    assert Combined([MSLR(), GradientBlending()]).needs.validation == 'losses'
    ToyModel(2).attached(balancer)
    balancer.see_validation([0.5, 0.25])
    assert balancer.methods[0].best == [0.5, 0.25] and balancer.methods[1].factors == [1, 1]
    balancer.end_epoch()
    assert balancer.methods[2].epochs == 1


def test_changes_of_representations_follow_each_other():
    class Adding(MultiLoss):
        def changes(self):
            return {0: lambda x: x + 1}

    class Doubling(MultiLoss):
        def changes(self):
            return {0: lambda x: 2 * x, 1: lambda x: 2 * x}

    balancer = Combined([Adding(), Doubling()])
    found = {index: change(torch.ones(1)).item() for index, change in balancer.pass_changes().items()}
    assert found == {0: 4, 1: 2}
    balancer.active = False
    assert not balancer.active and not balancer.pass_changes()
    assert not any(method.active for method in balancer.methods)


def test_in_a_plain_loop_rates_and_gradients_are_both_scaled():
    torch.manual_seed(0)
    model, factors = ToyModel(2).double(), [0.5, 3.0]
    start, alone, data = copy.deepcopy(model), copy.deepcopy(model), toy_batches(2, 1)
    train(model, Combined([CGGM(), MSLR('keep', factors)]), data, torch.optim.SGD(groups(model, 0.1, 0.1)))
    train(alone, CGGM(), data, torch.optim.SGD(groups(alone, 0.1, 0.1)))
    encoders = zip(factors, start.encoders, model.encoders, alone.encoders, strict=True)
    for factor, old, found, usual in encoders:
        torch.testing.assert_close(found.weight - old.weight, factor * (usual.weight - old.weight))
    torch.testing.assert_close(model.head.weight, alone.head.weight)


def test_resumed_equals_uninterrupted():
    guided, data = many_guided(3), many_batches(3, 6)
    settings = dict(balancer=[dict(type='CGGM'), dict(type='PMR', momentum=0.5)])
    wrapper = build_wrapper(guided, **settings)
    for batch in data[:3]:
        guided.train_step(batch, wrapper)
    assert set(wrapper.balancer.state_dict()) == {'0.CGGM', '1.PMR'}
    resumed = copy.deepcopy(guided)
    again = build_wrapper(resumed, **settings)
    again.load_state_dict(copy.deepcopy(wrapper.state_dict()))
    for batch in data[3:]:
        guided.train_step(batch, wrapper)
        resumed.train_step(batch, again)
    assert torch.equal(weights(resumed), weights(guided))
    torch.testing.assert_close(again.balancer.state_dict(), wrapper.balancer.state_dict(), rtol=0, atol=0)


def test_a_state_of_other_methods_is_refused():
    state = ToyModel(2).attached(Combined([CGGM(), PMR()])).state_dict()
    with pytest.raises(ValueError, match=r"one of \['0.CGGM', '1.PMR'\], .* are \['0.PMR', '1.CGGM'\]"):
        Combined([PMR(), CGGM()]).load_state_dict(state)


def test_an_update_that_overflows_leaves_no_trace_in_any():
    model = ToyModel(2)
    balancer = model.attached(Combined([OPM(), OGM()]))
    for overflow, confidences in ((0.0, [0.75, 0.5]), (1.0, [0.1, 0.9])):
        balancer.see(Shown(confidences=[torch.tensor([c]) for c in confidences]))
        balancer.finish_update(torch.tensor(overflow))
    expected = 0.5 * (1 + 0.5 * torch.tanh(torch.tensor(0.5)))
    torch.testing.assert_close(balancer.methods[0].q, torch.tensor([expected, 0.0]))


def test_stats_and_events_that_several_have_begin_with_the_methods_name():
    balancer = ToyModel(2).attached(Combined([OPM(), OGM()]))
    balancer.see(Shown(confidences=[torch.tensor([0.5]), torch.tensor([0.25])]))
    balancer.finish_update()
    assert set(balancer.stats) == {'q', 'OPM_confidence', 'k', 'OGM_confidence'}
    for method, events in zip(balancer.methods, (['a', 'b'], ['b', 'c']), strict=True):
        for event in events:
            method.count_event(event, torch.tensor(True))
    assert set(balancer.events) == {'OPM: a', 'OPM: b', 'OGM: b', 'OGM: c'}
    for _ in range(2):
        balancer.count_event('of them all', torch.tensor(True))
    assert balancer.events['of them all'] == 2


def test_it_knows_the_training_as_its_methods_do():
    model = ToyModel(2)
    balancer = model.attached(Combined([OPM(), OGM()]))
    assert balancer.modalities == ['m0', 'm1'] and balancer.encoders == model.encoder_parameters()
    assert balancer.clock is balancer.methods[1].clock


def test_a_config_is_a_method_its_type_or_a_list():
    ogm = OGM()
    assert build_balancer(ogm, 'balancer') is ogm
    assert isinstance(build_balancer('OGM', 'balancer'), OGM)
    assert isinstance(build_balancer(['OGM'], 'balancer'), OGM)
    assert build_balancer(dict(type='OGM', alpha=0.3), 'balancer').alpha == 0.3
    methods = build_balancer(('OGM', dict(type='MultiLoss')), 'balancer').methods
    assert [type(method) for method in methods] == [OGM, MultiLoss]
    with pytest.raises(ValueError, match='Several methods are needed to be combined, got 1'):
        Combined([ogm])
    with pytest.raises(ValueError, match=r'optim_wrapper\.balancer\[1\]'):
        build_balancer(['OGM', dict(type='MultiLos')], 'optim_wrapper.balancer')

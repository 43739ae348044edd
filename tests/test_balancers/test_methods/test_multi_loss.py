"""MultiLoss: encoders also learn from the losses of their modalities alone."""

import copy

import pytest
import torch
from torch.nn import functional as F

from mmcggm.balancers import Balancer, MultiLoss
from tests.many import many_batches, many_guided
from tests.streams import Streams, streams_batch, streams_guided
from tests.tiny import attached, balanced_gradients, batches, build_wrapper, tiny_guided
from tests.toy import Shown


@pytest.mark.parametrize('weight', [0.0, 0.7, 2.0])
@pytest.mark.parametrize('count', [2, 3, 6])
def test_gradients_are_the_tasks_plus_the_weighted_ones_of_the_guides(count, weight):
    guided, (batch,) = many_guided(count), many_batches(count, 1)
    model, guides = copy.deepcopy(guided.model), copy.deepcopy(guided.guides)
    parts = zip(guides.values(), model.encoders, batch['x'].unbind(1), strict=True)
    losses = [F.cross_entropy(guide(encoder(x)), batch['label']) for guide, encoder, x in parts]
    (model(**batch, mode='loss')['loss'] + weight * sum(losses)).backward()

    found = balanced_gradients(attached(MultiLoss(weight), guided), guided, batch)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[f'model.{name}'], parameter.grad)
    plain = copy.deepcopy(guided)
    unbalanced = balanced_gradients(attached(Balancer(), plain), plain, batch)
    for name, gradient in found.items():
        if name.startswith('guides'):
            assert torch.equal(gradient, unbalanced[name]), name


def test_its_weight_follows_a_schedule():
    guided = many_guided(2)
    balancer = attached(MultiLoss([(0, 0.0), (0.5, 2.0)]), guided)
    losses = [torch.tensor(3.0), torch.tensor(4.0)]
    assert balancer.see(Shown(unimodal_losses=losses)) is None
    balancer.clock.progress = 0.25
    assert balancer.see(Shown(unimodal_losses=losses)) == 7
    balancer.active = False
    assert balancer.see(Shown(unimodal_losses=losses)) is None


def test_a_modality_that_the_batch_lacks_adds_nothing():
    guided = many_guided(3)
    balancer = attached(MultiLoss(), guided)
    assert balancer.see(Shown(unimodal_losses=[torch.tensor(3.0), None, torch.tensor(4.0)])) == 7
    assert balancer.see(Shown(unimodal_losses=[None, None, None])) is None

    guided, batch = streams_guided(Streams(modalities=3)), streams_batch(modalities=3)
    del batch['x1']
    found = balanced_gradients(attached(MultiLoss(), guided), guided, batch)
    assert found['model.streams.1.0.weight'] is None and found['model.streams.0.0.weight'].any()


def test_any_task_will_do_by_config():
    guided = tiny_guided()
    wrapper = build_wrapper(guided, balancer=[dict(type='MultiLoss', weight=0.5)])
    losses = [guided.train_step(batch, wrapper)['loss'].item() for batch in batches(1) * 20]
    assert losses[-1] < 0.7 * losses[0] and isinstance(wrapper.balancer, MultiLoss)


def test_a_negative_weight_is_refused():
    with pytest.raises(ValueError, match='MultiLoss needs weight >= 0, got -1'):
        MultiLoss(-1)

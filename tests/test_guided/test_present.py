"""Samples that lack a modality: nothing of it reaches fusion, and its guide never hears of them."""

import pytest
import torch
from mmseg.structures import SegDataSample

from mmcggm.balancers import Balancer
from mmcggm.balancers.coalitions import masking
from mmcggm.balancers.discrepancy import confidence_sums
from tests.segmentors import slices as unet_slices
from tests.segmentors import small_unet
from tests.tiny import TinyClassifier, attached, balanced_gradients, batches, classifier_guided

THERE = torch.arange(16) % 4 < 3
NAMES = ('left', 'right')


class Told(TinyClassifier):
    """A model whose batch says what is there, which is nothing that it looks at."""

    def forward(self, left, right, label, present=None, mode='tensor'):
        return super().forward(left, right, label, mode)


def told(**overrides):
    torch.manual_seed(0)
    return classifier_guided(model=Told(), present='present', **overrides)


def lacking(there=THERE, name='left'):
    batch = batches(1)[0]
    everything = torch.ones(len(there), dtype=torch.bool)
    return dict(batch, present={**dict.fromkeys(NAMES, everything), name: there})


def only(batch, rows):
    return {key: value[rows] for key, value in batch.items() if key != 'present'}


def test_what_is_absent_is_what_masking_leaves_out():
    guided, batch = told(), lacking()
    plain = only(batch, slice(None))
    with guided.changing(masking(frozenset({1}), 2)):
        masked = guided(**plain)
    expected = torch.where(THERE[:, None], guided(**plain), masked)
    assert torch.equal(guided(**batch), expected)
    guided(**batch, mode='loss')
    assert torch.equal(guided.take_pass().output, expected)
    other = dict(batch, left=torch.where(THERE[:, None], batch['left'], torch.nan))
    assert torch.equal(guided(**other), expected)  # whatever the input holds


def test_a_guide_learns_and_is_judged_as_on_the_samples_that_have_its_modality():
    guided, batch = told(), lacking()
    part = only(batch, THERE)
    losses, fewer = guided(**batch, mode='loss'), None
    seen = guided.take_pass()
    guide = list(guided.guides['left'].parameters())
    found = torch.autograd.grad(losses['guide_left.loss'], guide)
    fewer = guided(**part, mode='loss')
    alone = guided.take_pass()
    torch.testing.assert_close(found, torch.autograd.grad(fewer['guide_left.loss'], guide))
    assert torch.equal(seen.counts()[0], alone.counts()[0])
    torch.testing.assert_close(seen.loss_counts()[0], alone.loss_counts()[0])
    for own, theirs in ((s.confidences()[0], a.confidences()[0]) for s, a in [(seen, alone)]):
        torch.testing.assert_close(own[THERE], theirs)
        assert not own[~THERE].any()
    torch.testing.assert_close(seen.predictions()[0][THERE], alone.predictions()[0])
    torch.testing.assert_close(confidence_sums(seen)[0] / 16, confidence_sums(alone)[0] / len(part['label']))

    guided(**only(batch, slice(None)), mode='loss')  # the other guide's samples are all there
    assert torch.equal(guided.take_pass().counts()[1], seen.counts()[1])
    unimodal = torch.autograd.grad(seen.unimodal_losses()[0], guided.model.left_encoder.parameters())
    expected = torch.autograd.grad(alone.unimodal_losses()[0], guided.model.left_encoder.parameters())
    torch.testing.assert_close(unimodal, expected)


def test_a_modality_that_no_sample_has_leaves_its_guide_and_its_encoder_alone():
    guided = told()
    guided(**lacking(torch.zeros(16, dtype=torch.bool)), mode='loss')
    seen = guided.last_pass
    assert seen.absent == ['left'] and not seen.counts()[0].any() and seen.predictions()[0] is None
    sum(seen.guide_losses, seen.task_loss).backward()
    for module in (guided.guides['left'], guided.model.left_encoder):  # zero, so no process waits for them
        assert all(p.grad is not None and not p.grad.any() for p in module.parameters())
    assert all(p.grad.any() for p in guided.model.right_encoder.parameters())


def test_nothing_changes_where_all_is_there():
    batch = lacking(torch.ones(16, dtype=torch.bool))
    found, expected = (
        balanced_gradients(attached(Balancer(), guided), guided, batch)
        for guided in (told(), classifier_guided(model=told().model))
    )
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in found)


@pytest.mark.parametrize(
    ('present', 'message'),
    [
        (dict(left=THERE), r"`model\.present`: no 'right' of 'present\.right' in \['left'\]"),
        (dict.fromkeys(NAMES, THERE[:, None]), r"'present\.left' must tell of each sample"),
        (dict.fromkeys(NAMES, THERE[:5]), 'is Tensor.*but 5 samples differ'),
    ],
)
def test_what_does_not_tell_of_each_sample_is_an_error(present, message):
    with pytest.raises(ValueError, match=message):
        told()(**dict(batches(1)[0], present=present))


def saying(samples, *lacks):
    for sample, names in zip(samples, lacks, strict=True):
        sample.set_metainfo(
            dict(present={m: m not in names for m in ('flair', 't1ce', 't1', 't2')}, img_shape=(16, 16))
        )
    return samples


def test_slices_and_volumes_lack_what_their_samples_lack():
    guided = small_unet().eval()
    inputs, samples = unet_slices(guided.modalities, count=3)
    saying(samples, (), ('t1',), ('flair', 't2'))
    with torch.no_grad():
        guided(inputs, samples, mode='loss')
        seen = guided.take_pass()
        parts = []
        for index, chosen in enumerate(({0, 1, 2, 3}, {0, 1, 3}, {1, 2})):
            own = {m: x[index : index + 1] for m, x in inputs.items()}
            with guided.changing(masking(frozenset(chosen), 4)):
                parts.append(guided(own))
        torch.testing.assert_close(seen.output, torch.cat(parts), atol=1e-5, rtol=1e-4)
        assert seen.counts()[:, 0, 1].tolist() == [2, 3, 2, 2]

        guided.model.test_cfg.slices_per_pass = 2  # so that encoders are called several times
        volume = {m: torch.randn(1, 1, 5, 16, 16) for m in guided.modalities}
        (found,) = guided(volume, saying([SegDataSample()], ('t1',)), mode='predict')
        with guided.changing(masking(frozenset({0, 1, 3}), 4)):
            (expected,) = guided(volume, saying([SegDataSample()], ()), mode='predict')
        assert torch.equal(found.pred_sem_seg.data, expected.pred_sem_seg.data)
        two = {m: torch.cat([x, x]) for m, x in volume.items()}
        with pytest.raises(ValueError, match='batch_size=1'):
            guided(two, saying([SegDataSample(), SegDataSample()], (), ('t1',)), mode='predict')

"""Modality dropout: which samples lose what, and that fusion sees it."""

import pytest
import torch

from mmcggm.balancers import ModalityDropout
from mmcggm.balancers.dropping import draw_kept
from tests.many import many_batches, many_guided
from tests.tiny import attached


def test_fusion_sees_what_is_kept_of_each_sample():
    guided, (batch,) = many_guided(3, late=True), many_batches(3, 1)
    balancer = attached(ModalityDropout(p=[0.5, 0.0, 0.5]), guided)
    torch.manual_seed(1)
    kept = draw_kept(torch.tensor([0.5, 0.0, 0.5]), 16)
    torch.manual_seed(1)
    with guided.changing(balancer.pass_changes()):
        guided(**batch, mode='loss')
    output = guided.take_pass().output
    parts = [encoder(x) for encoder, x in zip(guided.model.encoders, batch['x'].unbind(1), strict=True)]
    parts = [part * kept[:, [index]] for index, part in enumerate(parts)]
    torch.testing.assert_close(output, guided.model.fuse(parts))
    assert kept[:, 1].all() and not kept[:, 0].all()


def test_predictions_use_all_that_is_there():
    guided, (batch,) = many_guided(3), many_batches(3, 1)
    balancer = attached(ModalityDropout(p=0.9), guided)
    balancer.pass_changes()
    torch.testing.assert_close(guided(**batch), guided.model(**batch))


@pytest.mark.parametrize('p', [1.0, -0.1, [0.5, 1.0], []])
def test_a_probability_out_of_range_is_refused(p):
    with pytest.raises(ValueError, match=r'ModalityDropout needs p in \[0, 1\)'):
        ModalityDropout(p=p)


def test_another_number_of_modalities_is_refused():
    with pytest.raises(ValueError, match=r'`optim_wrapper\.balancer\.p` has 2 entries for 3 modalities'):
        attached(ModalityDropout(p=[0.1, 0.2]), many_guided(3))

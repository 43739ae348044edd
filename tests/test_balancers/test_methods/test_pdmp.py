"""PDMP: the best modality's encoder is sped up, the others are slowed."""

import copy

import pytest
import torch

from mmcggm.balancers import PDMP, Balancer
from tests.many import many_batches, many_guided
from tests.tiny import attached, balanced_gradients


@pytest.mark.parametrize('count', [2, 3, 6])
@pytest.mark.parametrize('named', [True, False])
def test_one_encoder_is_prioritized(count, named):
    guided, (batch,) = many_guided(count), many_batches(count, 1)
    plain = copy.deepcopy(guided)
    expected = balanced_gradients(attached(Balancer(), plain), plain, batch)
    balancer = attached(PDMP('m1' if named else None, gamma_p=2, gamma_r=0.25), guided)
    balancer.see_validation([0.5, 0.6, *[float('nan')] * (count - 2)])
    found = balanced_gradients(balancer, guided, batch)
    for name, gradient in expected.items():
        scale = 1 if 'encoders' not in name else 2 if 'encoders.1.' in name else 0.25
        torch.testing.assert_close(found[name], scale * gradient)


def test_validation_ranks_anew_unless_a_modality_is_named():
    guided, (batch,) = many_guided(2), many_batches(2, 1)
    balancer = attached(PDMP(), guided)
    named = attached(PDMP('m0'), guided)
    seen = []
    for scores in (None, [0.2, 0.4], [0.5, 0.4], [0.5, 0.5], [float('nan')] * 2):
        for method in (balancer, named):
            if scores is not None:
                method.see_validation(scores)
            balanced_gradients(method, guided, batch)
        seen.append(balancer.stats['gamma'].tolist())
        assert named.stats['gamma'].tolist() == [1.5, 0.5]
    assert seen == [[1, 1], [0.5, 1.5], [1.5, 0.5], [1.5, 0.5], [1.5, 0.5]]
    assert balancer.needs.validation == 'scores' and named.needs.validation is None


def test_what_it_cannot_do_is_refused():
    with pytest.raises(ValueError, match='0 < gamma_r <= gamma_p, got gamma_r=2'):
        PDMP(gamma_r=2)
    guided, (batch,) = many_guided(2), many_batches(2, 1)
    with pytest.raises(ValueError, match=r"dominant` must be one of \['m0', 'm1'\], got 'audio'"):
        balanced_gradients(attached(PDMP('audio'), guided), guided, batch)

"""The comparison that OGM, OPM and PMR share."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmcggm.balancers import OGM
from mmcggm.balancers.discrepancy import discrepancy_ratios
from tests.toy import Shown, ToyModel


@given(st.lists(st.floats(0.01, 50), min_size=2, max_size=6))
def test_a_ratio_compares_with_the_mean_of_the_others(sums):
    expected = [s * (len(sums) - 1) / (sum(sums[:i]) + sum(sums[i + 1 :])) for i, s in enumerate(sums)]
    assert discrepancy_ratios(torch.tensor(sums, dtype=torch.float64)).tolist() == pytest.approx(expected)


@given(st.lists(st.floats(0.01, 50), min_size=2, max_size=5))
def test_a_modality_without_a_sum_is_left_out(sums):
    sums = torch.tensor(sums, dtype=torch.float64)
    found = discrepancy_ratios(torch.cat([sums, sums.new_zeros(1)]))
    torch.testing.assert_close(found[:-1], discrepancy_ratios(sums))
    assert discrepancy_ratios(torch.tensor([3.0, 0.0])).tolist() == [1, 0]


def test_sums_run_over_the_passes_of_an_update_and_begin_anew():
    ogm, first, second = ToyModel(2).attached(OGM()), torch.tensor([0.25, 0.5]), torch.tensor([1.0])
    for confidences in ([first, first], [second, None]):
        ogm.see(Shown(confidences=confidences))
    assert ogm.stats['confidence'].tolist() == [1.75, 0.75]
    ogm.finish_update()
    ogm.see(Shown(confidences=[second, None]))
    assert ogm.stats['confidence'].tolist() == [1, 0]

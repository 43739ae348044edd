"""The comparison that OGM, OPM and PMR share."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmcggm.balancers import OGM
from mmcggm.balancers.discrepancy import ConfidenceSums, discrepancy_ratios


@given(st.lists(st.floats(0.01, 50), min_size=2, max_size=6))
def test_a_ratio_compares_with_the_mean_of_the_others(sums):
    expected = [s * (len(sums) - 1) / (sum(sums[:i]) + sum(sums[i + 1 :])) for i, s in enumerate(sums)]
    assert discrepancy_ratios(torch.tensor(sums, dtype=torch.float64)).tolist() == pytest.approx(expected)


def test_sums_run_over_the_passes_of_an_update_and_begin_anew():
    sums = ConfidenceSums(process_group=None)
    first, second = torch.tensor([0.25, 0.5]), torch.tensor([1.0])
    for confidences in ([first, first], [second, None]):
        guided_pass = SimpleNamespace(confidences=lambda confidences=confidences: confidences)
        sums.add(SimpleNamespace(guided_pass=guided_pass, task_loss=torch.zeros(())), OGM())
    assert sums.take().tolist() == [1.75, 0.75]
    assert sums.take() is None

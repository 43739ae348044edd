"""An update that loss scaling skips leaves the state as it was."""

import pytest
import torch
from mmcggm.balancers.overflow import committed, in_effect

NONE, CLEAN, OVERFLOWED = None, torch.tensor(0.0), torch.tensor(1.0)


@pytest.mark.parametrize(('overflow', 'kept'), [(NONE, False), (CLEAN, False), (OVERFLOWED, True)])
def test_state_is_committed_unless_the_update_overflowed(overflow, kept):
    new, old = torch.tensor([1.0, float('nan')]), torch.tensor([3.0, 4.0], dtype=torch.float64)
    for before, expected in ((old, old.float()), (None, torch.zeros(2))):
        found = committed(new, before, overflow)
        torch.testing.assert_close(found, expected if kept else new, equal_nan=True)


@pytest.mark.parametrize(('overflow', 'holds'), [(NONE, True), (CLEAN, True), (OVERFLOWED, False)])
def test_nothing_is_in_effect_in_an_update_that_overflowed(overflow, holds):
    found = in_effect(torch.tensor([True, False]), overflow)
    assert found.tolist() == [holds, False]

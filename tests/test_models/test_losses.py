"""Losses against their definitions."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcggm.models import ForegroundDiceLoss


@settings(max_examples=25)
@given(classes=st.integers(2, 5), seed=st.integers(0, 100), smooth=st.floats(1e-3, 1))
def test_foreground_dice_is_its_formula(classes, seed, smooth):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, classes, 5, 4, generator=generator, dtype=torch.float64)
    target = torch.randint(0, classes, (2, 5, 4), generator=generator)
    p = logits.softmax(1)[:, 1:]
    t = torch.nn.functional.one_hot(target, classes).movedim(-1, 1)[:, 1:]
    expected = 1 - 2 * (p * t).sum() / (p.sum() + t.sum() + smooth)
    torch.testing.assert_close(ForegroundDiceLoss(smooth)(logits, target), expected)


def test_perfect_prediction_loses_nothing_and_a_wrong_one_all():
    target = torch.tensor([[[0, 1], [2, 0]]])
    logits = 100.0 * torch.nn.functional.one_hot(target, 3).movedim(-1, 1)
    assert ForegroundDiceLoss(smooth=1e-6)(logits, target).item() == pytest.approx(0, abs=1e-5)
    assert ForegroundDiceLoss()(logits, (target + 1) % 3).item() == pytest.approx(1, abs=1e-5)


def test_ignored_and_weighted_pixels():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 3, 2, 4, generator=generator)
    target = torch.randint(0, 3, (1, 2, 4), generator=generator)
    expected = ForegroundDiceLoss()(logits[..., :2], target[..., :2])
    ignored = target.clone()
    ignored[..., 2:] = 255
    torch.testing.assert_close(ForegroundDiceLoss()(logits, ignored), expected)
    weight = torch.ones(1, 2, 4)
    weight[..., 2:] = 0
    torch.testing.assert_close(ForegroundDiceLoss()(logits, target, weight=weight), expected)

"""Scores against hand-computed values and against themselves in parts."""

import pytest
import torch

from mmcggm.balancers.scores import scores_from_counts
from mmcggm.guided import PixelAccuracy, SliceDice


def one_hot_logits(labels: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.one_hot(labels, 4).movedim(-1, 1).float()


def test_slice_dice_by_hand():
    target = torch.tensor([[[1, 2], [3, 0]], [[0, 0], [0, 0]]])
    prediction = torch.tensor([[[1, 2], [0, 0]], [[0, 0], [0, 0]]])
    counts = SliceDice()(one_hot_logits(prediction), target)
    # WT 2 * 2 / (2 + 3), TC 2 * 1 / (1 + 2), ET 0; the empty slice is 1 for each.
    assert counts[:, 1].tolist() == [2, 2, 2]
    for found, expected in zip(counts[:, 0].tolist(), [0.8 + 1, 2 / 3 + 1, 0 + 1], strict=True):
        assert found == pytest.approx(expected, abs=3e-3)


def test_counts_of_parts_add_up():
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(0, 4, (6, 8, 8), generator=generator)
    logits = torch.randn(6, 4, 8, 8, generator=generator)
    score = SliceDice()
    parts = score(logits[:2], target[:2]) + score(logits[2:], target[2:])
    torch.testing.assert_close(parts, score(logits, target))


def test_regions_are_configurable():
    target = torch.tensor([[[1, 2]]])
    counts = SliceDice(regions=dict(first=(1,)))(one_hot_logits(target), target)
    assert counts.shape == (1, 2)
    assert scores_from_counts(counts.unsqueeze(0)).item() == pytest.approx(1)


def test_pixel_accuracy_by_hand_and_in_parts():
    target = torch.tensor([[[1, 2], [3, 0]], [[0, 0], [0, 9]]])
    logits = one_hot_logits(torch.tensor([[[1, 2], [0, 0]], [[0, 1], [0, 0]]]))
    score = PixelAccuracy()
    assert score(logits, target).tolist() == [[5, 8]]
    assert score(logits, target, ignore_index=9).tolist() == [[5, 7]]
    parts = score(logits[:1], target[:1], 9) + score(logits[1:], target[1:], 9)
    assert torch.equal(parts, score(logits, target, 9))

"""Reading volumes out of the data samples that a metric receives."""

from __future__ import annotations

import numpy as np


def predicted_volume(sample: dict) -> np.ndarray:
    """Return the predicted training labels of ``sample``, ``(D, H, W)`` uint8."""
    return sample['pred_sem_seg']['data'].cpu().numpy().astype(np.uint8)


def labelled_volumes(sample: dict) -> tuple[np.ndarray, np.ndarray]:
    """Return the predicted and the true training labels of ``sample``, both ``(D, H, W)`` uint8.

    Raises:
        ValueError: If the case has no ground truth, or one of another shape. Leaving the case out
            instead would make the mean over the data set depend on what was missing.
    """
    case = sample['case']
    truth = sample.get('gt_sem_seg')
    if truth is None:
        raise ValueError(
            f"Case '{case}' has no ground truth, so it cannot be scored. To segment cases without labels, "
            'use `mmcggm test --format-only --out DIR`.'
        )
    pred, truth = predicted_volume(sample), truth['data'].cpu().numpy().astype(np.uint8)
    if pred.shape != truth.shape:
        raise ValueError(
            f"Case '{case}': the prediction has shape {pred.shape} and the ground truth {truth.shape}. "
            'Both must be (D, H, W) of the whole volume; does predict() undo the crop to the brain box?'
        )
    return pred, truth

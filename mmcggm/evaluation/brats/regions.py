"""Dice and HD95 of a region of a volume, under the rules of the BraTS challenge."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import find_objects

from mmcggm.datasets import BraTSDataset
from mmcggm.utils import import_optional

REGIONS: dict[str, Sequence[int]] = BraTSDataset.METAINFO['regions']


@dataclass(frozen=True)
class Rule:
    """What a region scores where Dice or distance is undefined.

    Attributes:
        empty: (Dice, HD95) when prediction and reference are both empty.
        penalty: HD95 in mm when only one of them is; Dice is then 0.
        penalise_disjoint: Whether two masks without a common voxel get the penalty as well,
            instead of their distance.
    """

    empty: tuple[float, float]
    penalty: float
    penalise_disjoint: bool


RULES = dict(
    # `BraTS-evaluation` with its config `gli` (since 2023).
    challenge=Rule(empty=(math.nan, math.nan), penalty=373.0, penalise_disjoint=True),
    # The rankings until 2021; the penalty is the diagonal of 240 x 240 x 155 mm.
    brats2021=Rule(empty=(1.0, 0.0), penalty=math.hypot(240, 240, 155), penalise_disjoint=False),
)


def get_rule(name: str) -> Rule:
    """Return the rule called ``name``.

    Raises:
        ValueError: If there is none.
    """
    if name not in RULES:
        raise ValueError(f"Unknown rule '{name}' for empty regions; choose one of {', '.join(RULES)}.")
    return RULES[name]


def dice_and_hd95(
    pred: np.ndarray, truth: np.ndarray, spacing: Sequence[float], rule: Rule
) -> tuple[float, float]:
    """Compare two masks with panoptica's metrics.

    HD95 is the 95th percentile of the distances of both surfaces' voxels, taken together, to the
    other surface. Some libraries take the larger of the two percentiles instead.

    Args:
        pred: Boolean mask ``(D, H, W)``.
        truth: Boolean mask of the same shape.
        spacing: Size of a voxel in mm along each axis.
        rule: Decides where a mask is empty.

    Returns:
        Dice in [0, 1] and HD95 in mm; NaN where the rule leaves the case out.
    """
    sizes = np.count_nonzero(pred), np.count_nonzero(truth)
    if not any(sizes):
        return rule.empty
    if not all(sizes):
        return 0.0, rule.penalty
    if rule.penalise_disjoint and not np.any(pred & truth):
        return 0.0, rule.penalty
    # Beyond the joint bounding box there is no voxel of either mask, so no surface and no distance.
    (box,) = find_objects((pred | truth).astype(np.uint8))
    pred, truth = pred[box], truth[box]
    metric = import_optional('panoptica.metrics', extra='brats').Metric
    dice = metric.DSC(reference_arr=truth, prediction_arr=pred)
    hd95 = metric.HD95(reference_arr=truth, prediction_arr=pred, voxelspacing=tuple(spacing))
    return float(dice), float(hd95)


def region_scores(
    pred: np.ndarray,
    truth: np.ndarray,
    spacing: Sequence[float],
    rule: Rule,
    regions: dict[str, Sequence[int]] = REGIONS,
) -> dict[str, tuple[float, float]]:
    """Score each region of a label volume.

    Args:
        pred: Training labels ``(D, H, W)``.
        truth: Training labels of the same shape.
        spacing: Size of a voxel in mm along each axis.
        rule: Decides where a region is empty.
        regions: Labels of each region by name.

    Returns:
        (Dice, HD95 in mm) by region.
    """
    return {
        region: dice_and_hd95(np.isin(pred, labels), np.isin(truth, labels), spacing, rule)
        for region, labels in regions.items()
    }

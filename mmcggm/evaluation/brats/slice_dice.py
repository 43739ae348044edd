"""The slice-wise Dice with which CGGM was published."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from prettytable import PrettyTable
from torch import Tensor

from mmcggm.datasets.brats.region_map import is_any_of
from mmcggm.registry import METRICS
from mmcggm.utils.counted import counted

from .regions import REGIONS
from .volumes import labelled_volumes

EPS = 1e-3


@METRICS.register_module()
class SliceDiceMetric(BaseMetric):
    """Mean over axial slices of the Dice of each tumour region, as in the code of CGGM.

    On a slice, with P and T the predicted and true masks of a region, the figure is
    ``2 (|P ∩ T| + ε) / (|P| + |T| + 2 ε)`` with ε = 0.001: a region that both leave empty scores 1.
    The mean runs over the slices of all cases whose ground truth holds tumour. These figures
    compare with the paper's; they are not those of the challenge (see :class:`BraTSMetric`).

    The regions are the ``regions`` of the data set's METAINFO (default: WT, TC and ET).

    Results: ``SliceDice_{region}`` and ``SliceDice_mean``, the mean over the regions.

    Reference: Guo et al., NeurIPS 2024, arXiv 2411.01409.

    Args:
        crop_size: Side in voxels of the square in the middle of a slice that counts, 160 as
            published; None for the whole slice.
        **kwargs: Arguments of MMEngine's ``BaseMetric``.

    Raises:
        ValueError: On a case without ground truth.
    """

    default_prefix = ''  # None makes MMEngine warn about a missing prefix

    def __init__(self, crop_size: int | None = 160, **kwargs) -> None:
        super().__init__(**kwargs)
        self.crop_size = crop_size

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Add up the Dice of the tumour slices. One result a case: (sum, slices) of each region."""
        regions = (self.dataset_meta or {}).get('regions', REGIONS)
        for sample in data_samples:
            pred, truth = labelled_volumes(sample)
            tumour = truth.any(axis=(1, 2))
            pred, truth = (
                torch.from_numpy(center_crop(volume[tumour], self.crop_size)) for volume in (pred, truth)
            )
            self.results.append(
                {
                    region: (
                        float(slice_dice(is_any_of(pred, labels), is_any_of(truth, labels)).sum()),
                        len(truth),
                    )
                    for region, labels in regions.items()
                }
            )

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Average over the slices of all cases; print the means as a table.

        Raises:
            ValueError: If no case has a tumour slice.
        """
        totals = {
            region: np.sum([result[region] for result in results], axis=0)
            for region in (results[0] if results else ())
        }
        if not any(slices for _, slices in totals.values()):
            raise ValueError('SliceDiceMetric found no slice with tumour in the ground truth.')
        metrics = {f'SliceDice_{region}': float(total / slices) for region, (total, slices) in totals.items()}
        metrics['SliceDice_mean'] = float(np.mean(list(metrics.values())))

        table = PrettyTable(['Region', 'Slices', 'Slice Dice'], align='r')
        for region, (_, slices) in totals.items():
            table.add_row([region, int(slices), f'{metrics[f"SliceDice_{region}"]:.4f}'])
        table.add_divider()
        table.add_row(['mean', '', f'{metrics["SliceDice_mean"]:.4f}'])
        print_log(
            f'Mean over the tumour slices of {counted(len(results), "case")}\n{table}', logger='current'
        )
        return metrics


def center_crop(slices: np.ndarray, size: int | None) -> np.ndarray:
    """Return the central ``size`` x ``size`` square of slices ``(S, H, W)``; a smaller axis stays whole."""
    if size is None:
        return slices
    top, left = (max(0, (length - size) // 2) for length in slices.shape[1:])
    return slices[:, top : top + size, left : left + size]


def slice_dice(pred: Tensor, truth: Tensor) -> Tensor:
    """Return the Dice ``(S,)`` of boolean slices ``(S, H, W)``."""
    overlap = (pred & truth).flatten(1).sum(1) + EPS
    return 2 * overlap / (pred.flatten(1).sum(1) + truth.flatten(1).sum(1) + 2 * EPS)

"""Below which volume a region is better taken away: the limit of ``ReplaceSmall``, by validation data."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from prettytable import PrettyTable

from mmcggm.datasets.brats.label_conventions import CONVENTIONS
from mmcggm.datasets.brats.region_map import is_any_of
from mmcggm.registry import METRICS
from mmcggm.utils.counted import counted

from .post_processing import ReplaceSmall, volume_of
from .regions import Rule, get_rule
from .volumes import labelled_volumes

SHOWN = 12  # rows of the table


@METRICS.register_module()
class SmallRegionThreshold(BaseMetric):
    """Finds the limit of :class:`ReplaceSmall` that gives the best mean Dice.

    Each case is scored as it is predicted and with the region replaced. The mean over the cases, then over
    the regions of the data, is compared for all limits between the volumes that were predicted, and for 0,
    which replaces nothing. Of limits that are equally good the smallest is chosen. The predictions must not
    have been replaced already.

    Results: ``{region}_below_mm3``, the limit, 0 where nothing is better, and ``Dice_mean_as_predicted`` and
    ``Dice_mean_replaced``.

    Args:
        region: The region.
        by: The label that takes its place.
        rule: What counts where a region is empty, as of :class:`BraTSMetric`.
        **kwargs: Arguments of MMEngine's ``BaseMetric``.

    Raises:
        ValueError: If the data are of no challenge, their labels have not these names, or a case has no
            ground truth.
    """

    default_prefix = ''  # None makes MMEngine warn about a missing prefix

    def __init__(self, region: str = 'ET', by: str = 'NCR', rule: str = 'challenge', **kwargs) -> None:
        super().__init__(**kwargs)
        self.region, self.by = region, by
        self.rule = get_rule(rule)

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Score volumes as they are and replaced. One result a case: volume in mm³, and Dice by region."""
        labels = self._convention()
        replace = ReplaceSmall(float('inf'), self.region, self.by, labels)
        for sample in data_samples:
            pred, truth = map(torch.from_numpy, labelled_volumes(sample))
            both, regions = (pred, replace(pred, sample['spacing'])), replace.region_map.regions.values()
            self.results.append(
                dict(
                    volume=volume_of(is_any_of(pred, replace.members), sample['spacing']),
                    voxel=float(np.prod(sample['spacing'])),
                    dice=[[_dice(volume, truth, of, self.rule) for of in regions] for volume in both],
                )
            )

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Compare the limits; print the best ones and the setting."""
        if not results:
            raise ValueError('SmallRegionThreshold has no case to evaluate: the data set is empty.')
        volumes = np.array([result['volume'] for result in results])
        dice = np.array([result['dice'] for result in results])  # (cases, as is or replaced, regions)
        found = [(limit, _mean(dice, volumes < limit)) for limit in _limits(volumes, results)]
        before, (limit, after) = found[0][1], max(found, key=lambda entry: (entry[1], -entry[0]))
        table = PrettyTable([f'{self.region} below (mm³)', 'cases replaced', 'mean Dice'], align='r')
        for below, mean in sorted(found, key=lambda entry: (-entry[1], entry[0]))[:SHOWN]:
            replaced = int(((volumes > 0) & (volumes < below)).sum())
            table.add_row([f'{below:g}', replaced, f'{mean:.4f}'])
        step = (
            f"dict(type='ReplaceSmall', region='{self.region}', by='{self.by}', below={limit:g}, "
            f"labels='{self._convention()}')"
        )
        advice = f'Set `test_cfg.post_processing = [{step}]`.' if limit else 'Replace nothing.'
        print_log(f'{counted(len(results), "case")}; the best limits\n{table}\n{advice}', logger='current')
        return {
            f'{self.region}_below_mm3': limit,
            'Dice_mean_as_predicted': before,
            'Dice_mean_replaced': after,
        }

    def _convention(self) -> str:
        """Return the name of a label convention of the data's classes."""
        classes = tuple((self.dataset_meta or {}).get('classes', ()))
        for convention in CONVENTIONS.values():
            if convention.scheme.classes == classes:
                return convention.name
        raise ValueError(f'SmallRegionThreshold: no label convention has the classes {list(classes)}.')


def _limits(volumes: np.ndarray, results: Sequence[dict]) -> list[float]:
    """Return 0, the middles between volumes that occur, and one above them all."""
    occurring = np.unique(volumes[volumes > 0]).tolist()
    above = [occurring[-1] + results[0]['voxel']] if occurring else []
    return [0.0, *((a + b) / 2 for a, b in pairwise(occurring)), *above]


def _mean(dice: np.ndarray, small: np.ndarray) -> float:
    """Return the mean over regions of the mean over cases, of which the small ones are replaced."""
    chosen = np.where(small[:, None], dice[:, 1], dice[:, 0])
    means = [column[~np.isnan(column)].mean() for column in chosen.T if not np.isnan(column).all()]
    return float(np.mean(means)) if means else float('nan')


def _dice(pred: torch.Tensor, truth: torch.Tensor, labels: Sequence[int], rule: Rule) -> float:
    """Return the Dice of a region under a rule, as :func:`~.regions.dice_and_hd95` has it."""
    pred, truth = (is_any_of(volume, labels) for volume in (pred, truth))
    total = int(pred.sum()) + int(truth.sum())
    return 2 * int((pred & truth).sum()) / total if total else rule.empty[0]

"""Volume-wise Dice and HD95 of the BraTS regions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from prettytable import PrettyTable

from mmcggm.registry import METRICS
from mmcggm.utils import import_optional
from mmcggm.utils.counted import counted
from mmcggm.utils.csv_files import write_csv

from .regions import REGIONS, get_rule, region_scores
from .volumes import labelled_volumes


@METRICS.register_module()
class BraTSMetric(BaseMetric):
    """Dice and HD95 of each tumour region on whole volumes, averaged over the cases.

    The figures are those of the challenge's scorer (``brats-evaluate --config gli``): both use the
    metrics of `panoptica <https://github.com/BrainLesion/panoptica>`_. One difference shows on
    volumes whose voxels are not 1 mm: HD95 is in mm here and in voxels there.

    The regions are the ``regions`` of the data set's METAINFO (default: WT, TC and ET).

    Results: ``Dice_{region}`` and ``HD95_{region}``, means over the cases in which they are defined,
    and ``Dice_mean`` and ``HD95_mean``, the means over the regions.

    Args:
        rule: What counts where a region is empty. ``'challenge'``: the scorer's rule; a region
            that is empty in prediction and reference is left out, one that is empty in either or
            without overlap has Dice 0 and HD95 373. ``'brats2021'``: the older rule; empty in both
            has Dice 1 and HD95 0, empty in either Dice 0 and HD95 373.13, and masks without overlap
            have their distance.
        per_case_csv: File that gets a row a case: its name and its figures.
        **kwargs: Arguments of MMEngine's ``BaseMetric``.

    Raises:
        ImportError: If panoptica is not installed.
        ValueError: On a case without ground truth.
    """

    default_prefix = ''  # None makes MMEngine warn about a missing prefix

    def __init__(self, rule: str = 'challenge', per_case_csv: str | None = None, **kwargs) -> None:
        super().__init__(**kwargs)
        import_optional('panoptica', extra='brats')  # before training, not after it
        self.rule = get_rule(rule)
        self.per_case_csv = per_case_csv

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Score volumes. One result a case, so that MMEngine can drop the cases that pad the last batch."""
        regions = (self.dataset_meta or {}).get('regions', REGIONS)
        for sample in data_samples:
            pred, truth = labelled_volumes(sample)
            scores = region_scores(pred, truth, sample['spacing'], self.rule, regions)
            self.results.append(dict(case=sample['case'], scores=scores))

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Average the cases' figures; print them as a table and write the file a row a case."""
        if not results:
            raise ValueError('BraTSMetric has no case to evaluate: the data set is empty.')
        regions = list(results[0]['scores'])
        # (cases, regions, 2)
        scores = np.array([[result['scores'][region] for region in regions] for result in results])
        names = [f'{name}_{region}' for region in regions for name in ('Dice', 'HD95')]
        if self.per_case_csv:
            rows = [
                dict(case=result['case'], **dict(zip(names, values, strict=True)))
                for result, values in zip(results, scores.reshape(len(results), -1).tolist(), strict=True)
            ]
            write_csv(self.per_case_csv, rows)

        table = PrettyTable(['Region', 'Cases', 'Dice', 'HD95 (mm)'], align='r')
        metrics = {}
        for index, region in enumerate(regions):
            dice, hd95 = (column[~np.isnan(column)] for column in scores[:, index].T)
            table.add_row([region, len(dice), _summary(dice, digits=4), _summary(hd95, digits=2)])
            metrics[f'Dice_{region}'], metrics[f'HD95_{region}'] = _mean(dice), _mean(hd95)
        for name in ('Dice', 'HD95'):
            means = np.array([metrics[f'{name}_{region}'] for region in regions])
            metrics[f'{name}_mean'] = _mean(means[~np.isnan(means)])
        table.add_divider()
        table.add_row(['mean', '', f'{metrics["Dice_mean"]:.4f}', f'{metrics["HD95_mean"]:.2f}'])
        print_log(
            f'Mean ± standard deviation over {counted(len(results), "case")}\n{table}', logger='current'
        )
        return metrics


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float('nan')


def _summary(values: np.ndarray, digits: int) -> str:
    """Return mean ± standard deviation (of the sample, as the challenge reports it)."""
    text = f'{_mean(values):.{digits}f}'
    return f'{text} ± {values.std(ddof=1):.{digits}f}' if values.size > 1 else text

"""Figures of a regression."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import numpy as np
from mmengine.logging import print_log
from prettytable import PrettyTable

from mmcggm.registry import METRICS
from mmcggm.utils import import_optional

from .scikit_learn_metric import ScikitLearnMetric


@METRICS.register_module()
class RegressionMetric(ScikitLearnMetric):
    """``MAE``, ``RMSE``, ``R2`` and Pearson's ``Corr`` over all samples: means over the targets, if there
    are more.

    The log has a table of each target. MAE, RMSE and R² are those of scikit-learn. R² and correlation of a
    target that is constant are NaN. All are NaN, and the log says so, if a prediction is not finite.

    Args:
        **kwargs: Arguments of MMEngine's ``BaseMetric``.

    Raises:
        ImportError: If scikit-learn is not installed.
    """

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Keep ``prediction`` ``(D,)`` and ``label``, ``(D,)`` or a scalar, of each sample.

        Raises:
            ValueError: If a sample has no label, or as many numbers in one as not in the other.
        """
        for sample in data_samples:
            prediction, label = sample['prediction'], sample.get('label')
            if label is None or prediction.numel() != label.numel():
                found = None if label is None else tuple(label.shape)
                raise ValueError(
                    f'RegressionMetric got a prediction of shape {tuple(prediction.shape)} and a `label` of '
                    f'{found}: set `outputs` of the model to the number of targets.'
                )
            self.results.append((prediction.flatten().double().numpy(), label.flatten().double().numpy()))

    def score(self, results: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
        """Score all samples; print a table with a row a target."""
        predicted, truth = (np.stack(values) for values in zip(*results, strict=True))
        unusable = int((~np.isfinite(predicted)).any(axis=1).sum())
        if unusable:
            print_log(
                f'{unusable} of {len(results)} predictions are not finite, so there is nothing to score.',
                'current',
                logging.WARNING,
            )
            return dict.fromkeys(('MAE', 'RMSE', 'R2', 'Corr'), math.nan)
        metrics = import_optional('sklearn.metrics', extra='data')
        varied = np.ptp(truth, axis=0) > 0
        figures = dict(
            MAE=metrics.mean_absolute_error(truth, predicted, multioutput='raw_values'),
            RMSE=np.sqrt(metrics.mean_squared_error(truth, predicted, multioutput='raw_values')),
            R2=np.full(truth.shape[1], np.nan),
            Corr=np.array([_correlation(*pair) for pair in zip(predicted.T, truth.T, strict=True)]),
        )
        if len(truth) > 1:
            score = metrics.r2_score(truth, predicted, multioutput='raw_values')
            figures['R2'] = np.where(varied, score, np.nan)
        table = PrettyTable(['Target', *figures], align='r', float_format='.4')
        for target, row in enumerate(zip(*figures.values(), strict=True)):
            table.add_row([target, *map(float, row)])
        print_log(f'Targets over {len(results)} samples\n{table}', logger='current')
        return {name: float(np.mean(values)) for name, values in figures.items()}


def _correlation(predicted: np.ndarray, truth: np.ndarray) -> float:
    if np.ptp(predicted) == 0 or np.ptp(truth) == 0:
        return math.nan
    return float(np.corrcoef(predicted, truth)[0, 1])

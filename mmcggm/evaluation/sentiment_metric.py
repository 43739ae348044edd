"""Metrics of multimodal sentiment analysis."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence

import numpy as np
from mmengine.logging import print_log
from prettytable import PrettyTable

from mmcggm.registry import METRICS
from mmcggm.utils import import_optional

from .scikit_learn_metric import ScikitLearnMetric


@METRICS.register_module()
class SentimentMetric(ScikitLearnMetric):
    """The figures that are reported on CMU-MOSI and CMU-MOSEI, as the toolkit MMSA defines them.

    Predictions and labels are sentiments from −3 to 3. Results, with MMSA's names where they differ:

    - ``MAE``: mean absolute error.
    - ``Corr``: Pearson correlation; NaN if predictions or labels are constant.
    - ``Acc7``, ``Acc5`` (``Mult_acc_7``, ``Mult_acc_5``): how often both, cut to [−3, 3] or [−2, 2] and
      rounded (halves to the even number), agree.
    - ``Acc2_nonneg``, ``F1_nonneg`` (``Has0_acc_2``, ``Has0_F1_score``): negative (< 0) against
      non-negative (>= 0).
    - ``Acc2_pos``, ``F1_pos`` (``Non0_acc_2``, ``Non0_F1_score``): positive (> 0) against not, over the
      samples whose label is not 0; NaN if there are none.

    F1 is that of both classes, weighted by their size. The log says how many labels and predictions were cut,
    and warns of labels that are all on one side of 0, whose sign tells nothing.

    Reference: Mao et al., M-SENA, ACL 2022, arXiv 2203.12441; https://github.com/thuiar/MMSA.

    Args:
        **kwargs: Arguments of MMEngine's ``BaseMetric``.

    Raises:
        ImportError: If scikit-learn is not installed.
    """

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Keep ``prediction`` ``(1,)`` and ``label``, a scalar, of each sample.

        Raises:
            ValueError: If a sample has no label, or either holds more than one number.
        """
        for sample in data_samples:
            pair = [sample.get(key) for key in ('prediction', 'label')]
            if any(value is None or value.numel() != 1 for value in pair):
                shapes = [None if value is None else tuple(value.shape) for value in pair]
                raise ValueError(
                    'SentimentMetric needs a `prediction` and a `label` of one number a sample, got the '
                    f'shapes {shapes}. Does the model have `outputs=1`?'
                )
            self.results.append(tuple(float(value) for value in pair))

    def score(self, results: list[tuple[float, float]]) -> dict[str, float]:
        """Compute the figures over all samples; print them as a table."""
        pred, truth = np.array(results, dtype=np.float64).T
        metrics = sentiment_figures(pred, truth)
        if unusable := int((~np.isfinite(pred)).sum()):
            print_log(
                f'{unusable} of {len(results)} predictions are not finite, so there is nothing to score.',
                'current',
                logging.WARNING,
            )
            return dict.fromkeys(metrics, math.nan)
        table = PrettyTable(list(metrics), align='r')
        table.add_row([f'{value:.4f}' for value in metrics.values()])
        print_log(f'Sentiment of {len(results)} samples ({_cut(pred, truth)})\n{table}', logger='current')
        for names, what in _one_sided(truth):
            print_log(f'{names} tell nothing: {what}.', 'current', logging.WARNING)
        return metrics


def sentiment_figures(pred: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return the figures of :class:`SentimentMetric` for predictions and labels ``(N,)``."""
    from scipy.stats import pearsonr  # here, since it takes half as long to import as torch

    varied = len(truth) > 1 and np.ptp(pred) > 0 and np.ptp(truth) > 0
    nonzero = truth != 0
    return dict(
        MAE=float(np.abs(pred - truth).mean()),
        Corr=float(pearsonr(pred, truth).statistic) if varied else float('nan'),
        Acc7=_rounded_accuracy(pred, truth, 3),
        Acc5=_rounded_accuracy(pred, truth, 2),
        **_binary(pred >= 0, truth >= 0, 'nonneg'),
        **_binary(pred[nonzero] > 0, truth[nonzero] > 0, 'pos'),
    )


def _cut(pred: np.ndarray, truth: np.ndarray) -> str:
    """Return how many values the accuracies cut to their range."""
    parts = []
    for name, bound in (('Acc7', 3), ('Acc5', 2)):
        labels, predictions = (int((np.abs(values) > bound).sum()) for values in (truth, pred))
        parts.append(f'{name} cut {labels} labels and {predictions} predictions to [−{bound}, {bound}]')
    return ', '.join(parts)


def _one_sided(truth: np.ndarray) -> Iterator[tuple[str, str]]:
    """Yield the scores of the sign for which there is one class alone, and why."""
    negative, positive = bool((truth < 0).any()), bool((truth > 0).any())
    nonnegative = bool((truth >= 0).any())
    if negative != nonnegative:
        side = 'negative' if negative else 'zero or positive'
        yield 'Acc2_nonneg and F1_nonneg', f'all {len(truth)} labels are {side}'
    if not (negative and positive):
        side = 'negative or zero' if negative else 'positive or zero' if positive else 'zero'
        yield 'Acc2_pos and F1_pos', f'all {len(truth)} labels are {side}'


def _rounded_accuracy(pred: np.ndarray, truth: np.ndarray, bound: int) -> float:
    return float((pred.clip(-bound, bound).round() == truth.clip(-bound, bound).round()).mean())


def _binary(pred: np.ndarray, truth: np.ndarray, name: str) -> dict[str, float]:
    if not len(truth):
        return {f'Acc2_{name}': float('nan'), f'F1_{name}': float('nan')}
    f1_score = import_optional('sklearn.metrics', extra='data').f1_score
    return {
        f'Acc2_{name}': float((pred == truth).mean()),
        f'F1_{name}': float(f1_score(truth, pred, average='weighted')),
    }

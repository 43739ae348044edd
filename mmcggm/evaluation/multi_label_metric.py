"""Figures of several labels a sample."""

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

FIGURES = ('micro_F1', 'macro_F1', 'mAP', 'exact_match')


@METRICS.register_module()
class MultiLabelMetric(ScikitLearnMetric):
    """``micro_F1``, ``macro_F1``, ``mAP`` and ``exact_match`` over all samples, and a table of each label in
    the log.

    The figures are those of scikit-learn; a label is named where its logit is positive. ``macro_F1`` and
    ``mAP``, the mean average precision, are means over the labels that any sample has. All are NaN, and the
    log says so, if a prediction is not finite.

    Args:
        **kwargs: Arguments of MMEngine's ``BaseMetric``.

    Raises:
        ImportError: If scikit-learn is not installed.
    """

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Keep ``prediction``, logits ``(K,)``, and ``label`` ``(K,)`` of 0 and 1, of each sample.

        Raises:
            ValueError: If a sample has no label, or they differ in shape.
        """
        for sample in data_samples:
            prediction, label = sample['prediction'], sample.get('label')
            if label is None or prediction.shape != label.shape or prediction.ndim != 1:
                found = None if label is None else tuple(label.shape)
                raise ValueError(
                    f'MultiLabelMetric got a prediction of shape {tuple(prediction.shape)} and a `label` of '
                    f'{found}: set `outputs` of the model to the number of labels.'
                )
            self.results.append((prediction.double().numpy(), label.numpy() > 0.5))

    def score(self, results: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
        """Score all samples; print a table with a row a label."""
        logits, truth = (np.stack(values) for values in zip(*results, strict=True))
        unusable = int((~np.isfinite(logits)).any(axis=1).sum())
        if unusable:
            print_log(
                f'{unusable} of {len(results)} predictions are not finite, so there is nothing to score.',
                'current',
                logging.WARNING,
            )
            return dict.fromkeys(FIGURES, math.nan)
        metrics = import_optional('sklearn.metrics', extra='data')
        named, present = logits > 0, truth.any(axis=0)
        micro = metrics.precision_recall_fscore_support(truth, named, average='micro', zero_division=0)[2]
        precision, recall, f1, support = metrics.precision_recall_fscore_support(
            truth, named, zero_division=0
        )
        average = np.full(len(present), np.nan)
        for label in np.flatnonzero(present):
            average[label] = metrics.average_precision_score(truth[:, label], logits[:, label])
        names = (self.dataset_meta or {}).get('classes') or [str(label) for label in range(len(present))]
        table = PrettyTable(
            ['Label', 'Samples', 'Precision', 'Recall', 'F1', 'AP'], align='r', float_format='.4'
        )
        for name, count, *row in zip(names, support, precision, recall, f1, average, strict=True):
            table.add_row([name, int(count), *map(float, row)])
        print_log(f'Labels over {len(results)} samples\n{table}', logger='current')
        nothing = not present.any()
        return dict(
            micro_F1=float(micro),
            macro_F1=math.nan if nothing else float(f1[present].mean()),
            mAP=math.nan if nothing else float(average[present].mean()),
            exact_match=float((named == truth).all(axis=1).mean()),
        )

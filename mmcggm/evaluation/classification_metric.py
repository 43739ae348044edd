"""Accuracy, F1 and cross-entropy of a classification."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import numpy as np
import torch
from mmengine.logging import print_log
from prettytable import PrettyTable

from mmcggm.registry import METRICS
from mmcggm.utils import import_optional

from .scikit_learn_metric import ScikitLearnMetric

SHOWN = 30  # classes; of more, the log has those of the lowest F1
FIGURES = ('accuracy', 'unweighted_accuracy', 'weighted_F1', 'macro_F1', 'cross_entropy')


@METRICS.register_module()
class ClassificationMetric(ScikitLearnMetric):
    """Accuracy and F1 over all samples, and precision, recall and F1 of each class as a table in the log.

    The figures are those of scikit-learn. A class that no sample has and no prediction names has no F1;
    one that no sample has, no recall.

    Of more than 30 classes the table has those of the lowest F1. Classes are named by ``classes`` of the
    data set's METAINFO, if there; else by their index.

    Results are, in [0, 1],

    - ``accuracy``;
    - ``unweighted_accuracy``: mean recall of the classes (``balanced_accuracy_score``);
    - ``weighted_F1``: mean F1 of the classes, weighted by their number of samples;
    - ``macro_F1``, also known as unweighted F1: mean F1 of the classes;

    and ``cross_entropy``, the mean over the samples, which a schedule may watch.

    All are NaN, and the log says so, if a prediction is not finite.

    Args:
        **kwargs: Arguments of MMEngine's ``BaseMetric``.

    Raises:
        ImportError: If scikit-learn is not installed.
    """

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        """Note the classes and the cross-entropy of each sample.

        Args:
            data_batch: Not used.
            data_samples: Dicts with ``prediction``, logits ``(C,)``, and ``label``, the
                index of the class, a scalar.

        Raises:
            ValueError: If a sample has no label or one that is no class, or its prediction has another
                number of classes than the data set names.
        """
        for sample in data_samples:
            prediction, label = sample['prediction'], sample.get('label')
            if label is None:
                raise ValueError('ClassificationMetric got a sample without `label`, which cannot be scored.')
            self._check(tuple(prediction.shape), torch.as_tensor(label))
            entropy = -prediction.double().log_softmax(dim=0)[int(label)]
            self.results.append((int(prediction.argmax()), int(label), len(prediction), float(entropy)))

    def score(self, results: list[tuple[int, int, int, float]]) -> dict[str, float]:
        """Score all samples; print the figures of the classes as a table."""
        predicted, truth, (num_classes, *_), entropies = map(np.array, zip(*results, strict=True))
        if unusable := int(np.isnan(entropies).sum()):
            print_log(
                f'{unusable} of {len(results)} predictions are not finite, so there is nothing to score.',
                'current',
                logging.WARNING,
            )
            return dict.fromkeys(FIGURES, math.nan)
        sklearn_metrics = import_optional('sklearn.metrics', extra='data')
        precision, recall, f1, support = sklearn_metrics.precision_recall_fscore_support(
            truth, predicted, labels=range(num_classes), zero_division=np.nan
        )
        present = support > 0
        names = self._classes or [str(index) for index in range(num_classes)]
        table = PrettyTable(['Class', 'Samples', 'Precision', 'Recall', 'F1'], align='r', float_format='.4')
        rows = list(zip(names, support, precision, recall, f1, strict=True))
        few = len(rows) <= SHOWN
        for name, count, *figures in rows if few else sorted(rows, key=lambda row: row[-1])[:SHOWN]:
            table.add_row([name, int(count), *map(float, figures)])
        which = 'Classes' if few else f'The {SHOWN} of {len(rows)} classes with the lowest F1'
        print_log(f'{which} over {len(results)} samples\n{table}', logger='current')
        return dict(
            accuracy=float(np.mean(predicted == truth)),
            unweighted_accuracy=float(np.nanmean(recall)),
            weighted_F1=float(np.average(f1[present], weights=support[present])),
            macro_F1=float(np.nanmean(f1)),
            cross_entropy=float(np.mean(entropies)),
        )

    @property
    def _classes(self) -> Sequence[str] | None:
        return (self.dataset_meta or {}).get('classes')

    def _check(self, shape: tuple[int, ...], label: torch.Tensor) -> None:
        if len(shape) != 1 or shape[0] < 2:
            raise ValueError(
                f'ClassificationMetric needs one score a class, (C,) with C >= 2, but a prediction has shape '
                f'{shape}. Does `outputs` of the model hold the number of classes?'
            )
        if self._classes is not None and len(self._classes) != shape[0]:
            raise ValueError(
                f'The model predicts {shape[0]} classes, but the data set names {len(self._classes)}: '
                f'{list(self._classes)}. Set `outputs` of the model, and of its guides, to '
                f'{len(self._classes)}, or name the classes in `metainfo` of the data set.'
            )
        if label.numel() != 1 or not 0 <= label < shape[0] or label % 1:
            raise ValueError(
                f'`label` of a sample is {label.tolist()}; it must be the index of one of {shape[0]} classes.'
            )

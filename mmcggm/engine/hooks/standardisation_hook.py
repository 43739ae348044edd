"""Channels are standardised by the training split alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import BaseLoop, Runner

from mmcggm.engine.wrapped_data import inner_datasets
from mmcggm.models import MultimodalDataPreprocessor
from mmcggm.registry import HOOKS


@HOOKS.register_module()
class StandardisationHook(Hook):
    """Finds mean and deviation of each channel over the training split, for the data preprocessor.

    The training data set tells them by ``channel_statistics(modality)``, several that are joined by
    ``channel_moments(modality)``; what MMEngine's wrappers repeat counts once. They are part of the model's
    weights, so that validation, test and prediction use the same; a checkpoint that is loaded brings its own.

    Raises:
        ValueError: Before training, if the preprocessor standardises nothing, or the data set can't tell.
    """

    priority = 'VERY_HIGH'  # before hooks that copy the model

    def before_run(self, runner: Runner) -> None:
        """Set the statistics, if there is a training."""
        if not isinstance(runner._train_loop, BaseLoop):  # asking for `train_loop` would build it
            return
        preprocessor = _find(runner)
        parts = list(inner_datasets(runner.train_dataloader.dataset))
        telling = 'channel_statistics' if len(parts) == 1 else 'channel_moments'
        unknown = next((part for part in parts if not hasattr(part, telling)), None)
        if unknown is not None:
            raise ValueError(
                f'StandardisationHook needs a training data set with `{telling}`, such as '
                f"FeatureDataset, but it's a {type(unknown).__name__}: take the hook out, and `standardise` "
                'of the data preprocessor.'
            )
        modalities = [m for m in parts[0].metainfo['channels'] if preprocessor.standardises(m)]
        if not modalities:
            raise ValueError(
                'StandardisationHook has nothing to do: set `standardise=True` of '
                '`model.data_preprocessor`, or take the hook out.'
            )
        for modality in modalities:
            mean, std = _statistics(parts, modality)
            preprocessor.set_statistics(modality, torch.from_numpy(mean), torch.from_numpy(std))
        print_log(
            f'{", ".join(modalities)}: standardised by mean and deviation of '
            'the training split, which are saved '
            'with the weights.',
            'current',
        )


def _statistics(parts: list[Any], modality: str) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and deviation over one data set, or over several together, float32 ``(C,)``."""
    if len(parts) == 1:
        return parts[0].channel_statistics(modality)
    counts, means, variances = zip(*(part.channel_moments(modality) for part in parts), strict=True)
    mean = np.average(means, 0, counts)
    deviation = np.sqrt(np.average(variances + (means - mean) ** 2, 0, counts))
    constant = deviation <= 1e-6 * np.abs(mean)
    return mean.astype(np.float32), np.where(constant, 1, deviation).astype(np.float32)


def _find(runner: Runner) -> MultimodalDataPreprocessor:
    found = [m for m in runner.model.modules() if isinstance(m, MultimodalDataPreprocessor)]
    if not found:
        raise ValueError(
            'StandardisationHook needs a model whose data preprocessor is a MultimodalDataPreprocessor.'
        )
    return found[0]

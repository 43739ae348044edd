"""Channels are standardised by the training split alone."""

from __future__ import annotations

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import BaseLoop, Runner

from mmcggm.models import MultimodalDataPreprocessor
from mmcggm.registry import HOOKS


@HOOKS.register_module()
class StandardisationHook(Hook):
    """Finds mean and deviation of each channel over the training split, for the data preprocessor.

    The training data set tells them by ``channel_statistics(modality)``. They are part of the model's
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
        dataset = runner.train_dataloader.dataset
        if not hasattr(dataset, 'channel_statistics'):
            raise ValueError(
                'StandardisationHook needs a training data set with `channel_statistics`, such as '
                f"FeatureDataset, but it's a {type(dataset).__name__}: take the hook out, and `standardise` "
                'of the data preprocessor.'
            )
        modalities = [m for m in dataset.metainfo['channels'] if preprocessor.standardises(m)]
        if not modalities:
            raise ValueError(
                'StandardisationHook has nothing to do: set `standardise=True` of '
                '`model.data_preprocessor`, or take the hook out.'
            )
        for modality in modalities:
            mean, std = dataset.channel_statistics(modality)
            preprocessor.set_statistics(modality, torch.from_numpy(mean), torch.from_numpy(std))
        print_log(
            f'{", ".join(modalities)}: standardised by mean and deviation of '
            'the training split, which are saved '
            'with the weights.',
            'current',
        )


def _find(runner: Runner) -> MultimodalDataPreprocessor:
    found = [m for m in runner.model.modules() if isinstance(m, MultimodalDataPreprocessor)]
    if not found:
        raise ValueError(
            'StandardisationHook needs a model whose data preprocessor is a MultimodalDataPreprocessor.'
        )
    return found[0]

"""Batches that nothing can be learnt or measured from are an error before they are drawn."""

from __future__ import annotations

from typing import Any

from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_world_size
from torch import nn
from torch.utils.data import DataLoader

from .resumable_data import placed_sampler


def check_batches(loader: DataLoader, key: str, in_passes: bool = True) -> None:
    """Raise a ValueError unless a loader yields a batch, and ends if passes through it are counted.

    Args:
        loader: The loader.
        key: That of its config.
        in_passes: Whether what uses it waits for its end.
    """
    sampler = placed_sampler(loader)
    if in_passes and isinstance(loader.sampler if sampler is None else sampler.inner, InfiniteSampler):
        raise ValueError(
            f'`{key}.sampler` is an InfiniteSampler, whose samples never end, so that this loop would wait '
            "for ever: take dict(type='DefaultSampler', shuffle=True), or an IterBasedTrainLoop."
        )
    try:
        batches, samples = len(loader), len(loader.dataset)  # type: ignore[arg-type]
    except TypeError:  # an iterable, which has no length
        return
    if not batches:
        processes = f' for each of {get_world_size()} processes' if get_world_size() > 1 else ''
        reason = (
            f'`batch_size` is {loader.batch_size} and `drop_last` leaves out what fills no batch'
            if samples and loader.drop_last
            else 'its data set is empty'
        )
        raise ValueError(
            f'`{key}` yields no batch of its {samples} samples{processes}, since {reason}: nothing would be '
            'trained or measured. Take smaller batches, `drop_last=False`, or more samples.'
        )


def check_single_samples(model: nn.Module, loader: DataLoader) -> None:
    """Raise a ValueError if a training batch is of one sample, and a batch norm would see one value of it.

    That is so where the norm follows a pool over the whole image.
    """
    if _smallest_batch(loader) != 1:
        return
    for name, module in model.named_modules():
        if not isinstance(module, nn.Sequential) or not len(module):
            continue
        pooled = isinstance(module[0], nn.AdaptiveAvgPool2d) and module[0].output_size in (1, (1, 1))
        norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
        if pooled and any(norm.training for norm in norms):
            raise ValueError(
                f'A batch of `train_dataloader` has one sample, of which the batch norm of {name} would see '
                'one value, its mean: set `train_dataloader.drop_last=True`, or another `batch_size`.'
            )


def _smallest_batch(loader: DataLoader) -> int | None:
    """Return how many samples the smallest batch of an epoch has, where that can be told."""
    batches: Any = getattr(loader, 'batch_sampler', None)
    sampler: Any = getattr(batches, 'sampler', None)
    while hasattr(sampler, 'inner'):
        sampler = sampler.inner
    if getattr(batches, 'batch_size', None) is None or sampler is None:
        return None
    if isinstance(sampler, InfiniteSampler) or not hasattr(sampler, '__len__'):  # its length is the data's
        return batches.batch_size
    rest = len(sampler) % batches.batch_size
    return batches.batch_size if batches.drop_last or not rest else rest

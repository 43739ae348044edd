"""The representations of a trained model on a split of its data set."""

from __future__ import annotations

from collections import defaultdict

import torch
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner
from numpy import ndarray
from torch.utils.data import DataLoader
from tqdm import tqdm

from mmcggm.guided import GuidedModel
from mmcggm.guided.guided_pass import pooled_vector
from mmcggm.guided.present import of_samples

FUSED = 'fused'


def loader_settings(cfg: Config, split: str) -> ConfigDict:
    """Return the settings of a split's loader.

    Raises:
        ValueError: If the config has none.
    """
    settings = cfg.get(f'{split}_dataloader')
    if not settings:
        raise ValueError(f"The config '{cfg.filename}' has no `{split}_dataloader`: choose another split.")
    return settings


def build_loader(cfg: Config, split: str) -> DataLoader:
    """Return the loader of a split, which yields each sample once, in order.

    Raises:
        ValueError: If the config has none.
    """
    settings = {name: value for name, value in loader_settings(cfg, split).items() if name != 'batch_sampler'}
    settings |= dict(sampler=dict(type='DefaultSampler', shuffle=False), drop_last=False)
    return Runner.build_dataloader(settings, seed=0)


@torch.no_grad()
def represent(
    model: GuidedModel, loader: DataLoader, name: str, fused: bool = False
) -> dict[str, tuple[ndarray, ndarray]]:
    """Return vectors ``(N, C)`` and classes ``(N,)`` by modality, of the samples that have it.

    Args:
        model: In evaluation mode.
        loader: Of batches as its ``test_step`` takes them.
        name: Of the split, for the progress bar.
        fused: Whether to return what the head is given as well, as ``'fused'``, where the model calls it.
    """
    found = defaultdict(list)
    for batch in tqdm(loader, desc=f'representations, {name}', unit='batch'):
        with model.watch() as seen:
            model.test_step(batch)
        labels = seen.labels().cpu()
        vectors = dict(zip(model.modalities, seen.vectors(), strict=True))
        if fused and seen.called_head:
            vectors[FUSED] = pooled_vector(seen.head_input)
        for modality, vector in vectors.items():
            if vector is not None:
                own = dict(vector=vector.float().cpu(), label=labels)
                found[modality].append(tuple(of_samples(own, seen.there.get(modality)).values()))
    return {
        modality: (torch.cat([v for v, _ in parts]).numpy(), torch.cat([c for _, c in parts]).numpy())
        for modality, parts in found.items()
    }

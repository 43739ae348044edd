"""Computing the features of frozen encoders and writing them to a cache."""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, default_collate
from tqdm import tqdm

from mmcggm.registry import MODELS
from mmcggm.structures.sequences import padding_mask, split_padding
from mmcggm.utils.atomic import remove_stale, replacing

from .dataset import CHECKSUMS, FeatureCache, item_checksum


def write_features(
    cache: FeatureCache,
    *,
    views: int = 1,
    shard_size: int = 128,
    dtype: str = 'float16',
    device: str = 'cpu',
    workers: int = 0,
) -> int:
    """Write the features of a data set, going on where an earlier call stopped.

    What is random in the pipeline is seeded by view and item, so stopping changes nothing.

    Args:
        cache: Where, and of what.
        views: How often each item is encoded; an older cache can be given more.
        shard_size: Items a file, which is also the batch.
        dtype: Of the features in the files: ``'float16'`` or ``'float32'``.
        device: Where the encoders run.
        workers: Processes that read the data set.

    Returns:
        The number of files written.

    Raises:
        FileNotFoundError: If the data set or a pretrained model is absent.
        ValueError: If an encoder is not frozen, features are too large for ``dtype``, or the folder holds
            features of something else.
    """
    dataset = cache.build_source()
    meta = dict(size=len(dataset), shard_size=shard_size, dtype=dtype, views=views)
    if cache.exists:
        old = cache.read_meta()
        changed = [f'{name}={old[name]}' for name in ('shard_size', 'dtype') if old[name] != meta[name]]
        if changed:
            raise ValueError(
                f"The features in '{cache.folder}' were begun with {' and '.join(changed)}: go on with that, "
                'or delete the folder.'
            )
    encoders = nn.ModuleDict({m: _build_frozen(m, config) for m, config in cache.backbones.items()})
    preprocessor = MODELS.build(cache.data_preprocessor or dict(type='BaseDataPreprocessor'))
    encoders.to(device)
    preprocessor.to(device)
    fingerprint = cache.fingerprint()
    cache.write_meta({**meta, 'fingerprint': fingerprint})

    missing = list(cache.missing(meta))
    for folder in {cache.shard(*key).parent for key in missing}:
        folder.mkdir(exist_ok=True)
        remove_stale(folder)
    batches = [
        [(view, index) for index in range(start, min(start + shard_size, len(dataset)))]
        for view, start in missing
    ]
    loader = DataLoader(
        _SeededViews(dataset), batch_sampler=batches, num_workers=workers, collate_fn=default_collate
    )
    # A log file would not want ten lines a second.
    interval = 0.1 if sys.stderr.isatty() else 10
    progress = tqdm(loader, desc=cache.folder.name, unit='shard', mininterval=interval)
    for key, batch in zip(missing, progress, strict=True):
        tensors = _encode(preprocessor(batch), encoders, getattr(torch, dtype))
        tensors[CHECKSUMS] = _checksums(fingerprint, *key, tensors)
        with replacing(cache.shard(*key)) as temporary:
            save_file(tensors, temporary)
        if key == missing[0]:
            gigabytes = cache.shard(*key).stat().st_size * len(missing) / 1e9
            print_log(f"'{cache.folder}' will grow by {gigabytes:.2g} GB.", 'current')
    return len(missing)


class _SeededViews(Dataset):
    """Samples by view and index, the same whenever and wherever they are read."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __getitem__(self, key: tuple[int, int]) -> dict:
        seed = int(np.random.SeedSequence(key).generate_state(1)[0])
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002, what transforms draw from
        torch.manual_seed(seed)
        return self.dataset[key[1]]


def _build_frozen(modality: str, config: dict) -> nn.Module:
    encoder = MODELS.build(config)
    trainable = [name for name, parameter in encoder.named_parameters() if parameter.requires_grad]
    if trainable:
        raise ValueError(
            f"The encoder of '{modality}' trains {trainable[0]}, so its features change: set `frozen=True` "
            'to cache them, or train without a cache.'
        )
    return encoder.eval()


@torch.no_grad()
def _encode(
    batch: dict[str, Any], encoders: Mapping[str, nn.Module], dtype: torch.dtype
) -> dict[str, Tensor]:
    """Return the tensors of a batch by dotted name, with features of ``dtype`` in the place of inputs."""
    inputs, lengths = batch['inputs'], batch.get('lengths', {})
    tensors = {name: value for name, value in batch.items() if isinstance(value, Tensor)}
    tensors |= {f'lengths.{modality}': value for modality, value in lengths.items()}
    for modality, x in inputs.items():
        if modality in encoders:
            if modality in lengths:
                x = (x, padding_mask(lengths[modality], x.shape[1]))
            x = split_padding(encoders[modality](x))[0].to(dtype)
            if not x.isfinite().all():
                raise ValueError(f"Features of '{modality}' are not finite in {dtype}; use float32.")
        tensors[f'inputs.{modality}'] = x
    return {name: value.cpu().contiguous() for name, value in tensors.items()}


def _checksums(fingerprint: dict[str, str], view: int, start: int, tensors: Mapping[str, Tensor]) -> Tensor:
    """Return the checksums ``(N,)`` of a shard's items."""
    items = range(len(next(iter(tensors.values()))))
    rows = ({name: tensor[item] for name, tensor in tensors.items()} for item in items)
    return torch.tensor([item_checksum(fingerprint, view, start + i, row) for i, row in enumerate(rows)])

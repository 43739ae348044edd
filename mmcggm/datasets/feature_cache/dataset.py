"""Features of frozen encoders, computed once and read instead of what the encoders take."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from safetensors import safe_open
from torch import Tensor

from mmcggm.datasets.readers.checksums import FirstReads, checksum
from mmcggm.registry import DATASETS
from mmcggm.utils.atomic import replacing

from .fingerprint import differences, fingerprint

FORMAT = 2  # raise when the layout changes: older caches are then refused
CHECKSUMS = 'checksums'
COMMAND = '`mmcggm convert cache_features CONFIG`'


class FeatureCache:
    """The features of one split, in ``view{view}/{first item}.safetensors`` and ``meta.json``.

    A shard holds ``shard_size`` consecutive items as a batch: ``inputs.{modality}`` ``(N, L, C)``,
    ``lengths.{modality}`` and ``labels`` ``(N,)``, and ``checksums`` ``(N,)``, see :func:`item_checksum`.

    Args:
        folder: Its folder.
        source: See :class:`CachedFeatureDataset`, as the next two.
        backbones: See there.
        data_preprocessor: See there.
    """

    def __init__(
        self,
        folder: Path,
        source: dict,
        backbones: dict[str, dict],
        data_preprocessor: dict | None = None,
    ) -> None:
        self.folder = folder
        self.source = source
        self.backbones = backbones
        self.data_preprocessor = data_preprocessor

    @property
    def exists(self) -> bool:
        """Whether anything is in it."""
        return (self.folder / 'meta.json').is_file()

    def build_source(self, **kwargs: Any) -> BaseDataset:
        """Build the data set; with ``lazy_init=True`` without reading anything."""
        return DATASETS.build({**self.source, **kwargs})

    def fingerprint(self) -> dict[str, str]:
        """Return what determines the features, by part."""
        settings = {f'encoder of {modality}': config for modality, config in self.backbones.items()}
        settings |= {'data set': self.source, 'data preprocessor': self.data_preprocessor, 'format': FORMAT}
        return fingerprint(self.build_source(lazy_init=True), settings)

    def read_meta(self) -> dict[str, Any]:
        """Return ``size``, ``shard_size``, ``views``, ``dtype`` and ``fingerprint``.

        Raises:
            ValueError: If the file is broken, or the features were made of something else than the settings
                say.
        """
        path = self.folder / 'meta.json'
        try:
            meta = json.loads(path.read_text(encoding='utf-8'))
            if meta.pop('checksum') != _text_checksum(meta):
                raise ValueError('its checksum differs')
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
            raise ValueError(
                f"'{path}' is broken ({error}). Delete '{self.folder}' and run {COMMAND} again."
            ) from error
        changed = differences(meta['fingerprint'], self.fingerprint())
        if changed:
            raise ValueError(
                f"The features in '{self.folder}' are stale: {', '.join(changed)} changed since they were "
                f'made. Undo that, or delete the folder and run {COMMAND} again.'
            )
        return meta

    def write_meta(self, meta: dict[str, Any]) -> None:
        """Write what :meth:`read_meta` returns."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with replacing(self.folder / 'meta.json') as temporary:
            content = {**meta, 'checksum': _text_checksum(meta)}
            temporary.write_text(json.dumps(content, indent=2) + '\n', encoding='utf-8')

    def shard(self, view: int, start: int) -> Path:
        """Return the file of the items of ``view`` from ``start`` on."""
        return self.folder / f'view{view}' / f'{start:07d}.safetensors'

    def missing(self, meta: dict[str, Any]) -> Iterator[tuple[int, int]]:
        """Yield view and first item of each shard that is not there."""
        for view in range(meta['views']):
            for start in range(0, meta['size'], meta['shard_size']):
                if not self.shard(view, start).is_file():
                    yield view, start


@DATASETS.register_module()
class CachedFeatureDataset(BaseDataset):
    """What frozen encoders make of a data set, from the cache of ``cache_features.py``.

    A sample is that of the data set, with features ``(L, C)``, float32, in the place of the inputs of
    ``backbones``. Of several views of an item, made by a random pipeline, one is drawn each time.

    The cache is refused unless it was made of the same data set, pipeline, preprocessor and weights.

    Args:
        data_root: The cache, a folder with one folder a split.
        split: Which of them.
        source: Config of the data set, one of MMEngine's ``BaseDataset``.
        backbones: Config of the frozen encoder of each modality, of those that have one.
        data_preprocessor: Config of the data preprocessor between the two.
        **kwargs: Of :class:`mmengine.dataset.BaseDataset`.

    Raises:
        FileNotFoundError: If there is no cache, or it is not complete.
        ValueError: If it was made of something else, or, when an item is read, a file is broken.
    """

    def __init__(
        self,
        data_root: str,
        split: str,
        source: dict,
        backbones: dict[str, dict],
        data_preprocessor: dict | None = None,
        **kwargs,
    ) -> None:
        self.cache = FeatureCache(Path(data_root) / split, source, backbones, data_preprocessor)
        super().__init__(metainfo=self.cache.build_source(lazy_init=True).metainfo, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Return an item a sample: where its shard starts, and its place there."""
        folder = self.cache.folder
        if not self.cache.exists:
            raise FileNotFoundError(
                f"No features in '{folder}': download the data set and the pretrained models that the config "
                f'names, then run {COMMAND}.'
            )
        meta = self.cache.read_meta()
        missing = [self.cache.shard(*key) for key in self.cache.missing(meta)]
        if missing:
            raise FileNotFoundError(
                f"The features in '{folder}' are not complete: {len(missing)} files are missing, such as "
                f"'{missing[0]}'. Run {COMMAND} again; it goes on where it stopped."
            )
        self.views, size = meta['views'], meta['shard_size']
        self._fingerprint = meta['fingerprint']
        self._checked = FirstReads(self.views * meta['size'])
        return [dict(start=i - i % size, offset=i % size) for i in range(meta['size'])]

    def prepare_data(self, idx: int) -> dict[str, Any]:
        """Return a sample of a random view (NumPy's global state, as mmcv draws).

        Raises:
            ValueError: If it is not what was written.
        """
        item = self.get_data_info(idx)
        view = np.random.randint(self.views)  # noqa: NPY002
        path = self.cache.shard(view, item['start'])
        try:
            shard = _open(path)
            tensors = {name: shard.get_slice(name)[item['offset']] for name in shard.keys()}  # noqa: SIM118
            expected, number = tensors.pop(CHECKSUMS), item['start'] + item['offset']
            place = view * len(self) + number
            if place not in self._checked:
                if item_checksum(self._fingerprint, view, number, tensors) != expected:
                    raise ValueError(f'item {number} is not what was written')
                self._checked.add(place)
        except Exception as error:  # safetensors and torch raise whatever the broken bytes lead to
            raise ValueError(f"'{path}' is broken ({error}). Delete it and run {COMMAND} again.") from error
        sample: dict[str, Any] = {}
        for name, tensor in tensors.items():
            *parents, last = name.split('.', 1)
            parent = sample.setdefault(parents[0], {}) if parents else sample
            parent[last] = tensor.float() if tensor.is_floating_point() else tensor
        return sample


def item_checksum(fingerprint: dict[str, str], view: int, index: int, tensors: Mapping[str, Tensor]) -> int:
    """Return the checksum of an item's tensors, by name, and of what it is an item of."""
    parts = ((name, tensors[name].numpy()) for name in sorted(tensors))
    return checksum([_text(fingerprint), f'{view} {index}', *chain.from_iterable(parts)])


def _text(content: dict[str, Any]) -> str:
    return json.dumps(content, sort_keys=True)


def _text_checksum(content: dict[str, Any]) -> int:
    return checksum([_text(content)])


@lru_cache(maxsize=1024)
def _open(path: Path) -> Any:
    """Open a shard, which is mapped, not read."""
    return safe_open(path, framework='pt')

"""The samples of the synthetic family as a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Generator

from mmcggm.datasets.readers.batch import BatchedDataset
from mmcggm.registry import DATASETS

from .family import InformationFamily

SPLITS = ('train', 'val', 'test')


@DATASETS.register_module()
class SyntheticInformationDataset(BatchedDataset):
    """Synthetic vectors, drawn by seed: the label is in all modalities, in one alone, or in none.

    See :class:`~mmcggm.datasets.synthetic_information.family.InformationFamily`. There are no files. A sample
    is ``dict(inputs={modality: (D,)}, labels=())``, float32 and int64.

    Args:
        shared: Share of the samples whose label is in all modalities.
        unique: Share of those whose label is in one modality alone, by modality.
        layers: How deep each modality hides what it holds; the order is that of the modalities.
        split: ``'train'``, ``'val'`` or ``'test'``, which are drawn apart from each other.
        samples: How many.
        classes: Number of classes.
        dim: Dimensions D of each modality.
        signal: Size of the label, in standard deviations of the noise.
        seed: Of the family.
        pipeline: Transforms of a sample.
        **kwargs: Of :class:`mmengine.dataset.BaseDataset`.

    Raises:
        ValueError: If an argument is out of its range.
    """

    def __init__(
        self,
        shared: float,
        unique: Mapping[str, float],
        layers: Mapping[str, int],
        split: str = 'train',
        samples: int = 1000,
        classes: int = 4,
        dim: int = 32,
        signal: float = 4.0,
        seed: int = 0,
        pipeline: Sequence = (),
        **kwargs,
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f"`split` is '{split}'; it must be one of {list(SPLITS)}.")
        if samples < 1:
            raise ValueError(f'`samples` is {samples}; it must be at least 1.')
        self.family = InformationFamily(dict(layers), shared, dict(unique), classes, dim, signal, seed)
        self.split = split
        self.samples = samples
        kwargs.setdefault('metainfo', dict(classes=tuple(map(str, range(classes)))))
        super().__init__(pipeline=list(pipeline), **kwargs)

    def load_data_list(self) -> np.ndarray:
        """Draw the samples; return the place of each, int64 ``(N,)``."""
        drawn = self.family.draw(self.samples, SPLITS.index(self.split))
        self._inputs = {name: torch.from_numpy(values) for name, values in drawn.inputs.items()}
        self._labels, self._informed = torch.from_numpy(drawn.labels), drawn.informed.tolist()
        return np.arange(self.samples)

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Return the place and the label of a sample, and which modalities hold it."""
        place = int(self.data_list[idx])
        return dict(
            place=place,
            label=int(self._labels[place]),
            informed=self._informed[place],
            sample_idx=idx,
        )

    def read(self, indices: Sequence[int], generator: Generator | None = None) -> dict:
        """Return several samples, see the class."""
        places = torch.from_numpy(self.rows(indices))
        inputs = {name: values[places] for name, values in self._inputs.items()}
        return dict(inputs=inputs, labels=self._labels[places])

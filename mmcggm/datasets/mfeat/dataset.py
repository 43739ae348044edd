"""Handwritten digits in six sets of features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from mmcggm.datasets.readers.batch import BatchedDataset
from mmcggm.datasets.readers.labels import check_classes, check_lengths
from mmcggm.datasets.readers.npz import read_npz
from mmcggm.registry import DATASETS

from .converter import FILE, SOURCE, SPLIT_SIZES, VIEWS

CONVERTER = 'mmcggm convert mfeat'


@DATASETS.register_module()
class MfeatDataset(BatchedDataset):
    """UCI Multiple Features (Duin, https://archive.ics.uci.edu/dataset/72): 2,000 digits in six views.

    ``fac`` has 216 profile correlations, ``fou`` 76 Fourier coefficients of the shape, ``kar`` 64
    Karhunen-Loève coefficients, ``mor`` 6 morphological features, ``pix`` 240 averages of 2 x 3 pixels,
    ``zer`` 47 Zernike moments.

    A sample is ``dict(inputs={view: (D,)}, labels=())``, float32 and int64. Features have mean 0 and
    standard deviation 1 over the whole training split, before noise.

    Two knobs make the task harder, which all views together solve too well for a comparison of methods:
    few training samples and Gaussian noise. Noise is drawn afresh in training, and is fixed for each
    digit and view in validation and test.

    Args:
        data_root: Folder of the file that ``mmcggm convert mfeat`` writes.
        split: ``'train'`` (500 digits), ``'val'`` (500) or ``'test'`` (1,000).
        modalities: Which views, in any number.
        train_samples: How many digits of each class train, from 1 to 50; 50 if None. Fewer are among
            more. It has no effect on the other splits.
        noise: Standard deviation of Gaussian noise on each feature, in standard deviations of the
            feature: one for all views, or by view, zero for those not named.
        pipeline: Transforms of a sample.
        **kwargs: Of :class:`mmengine.dataset.BaseDataset`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If an argument is out of its range, or the file isn't the converter's.
    """

    METAINFO = dict(classes=tuple('0123456789'))

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        modalities: Sequence[str] = tuple(VIEWS),
        train_samples: int | None = None,
        noise: float | Mapping[str, float] = 0.0,
        pipeline: Sequence = (),
        **kwargs,
    ) -> None:
        if split not in SPLIT_SIZES:
            raise ValueError(f"`split` is '{split}'; it must be one of {list(SPLIT_SIZES)}.")
        if not modalities or len(set(modalities)) < len(modalities) or not set(modalities) <= set(VIEWS):
            raise ValueError(
                f'`modalities` is {list(modalities)}; it must name one or more of {list(VIEWS)}, once each.'
            )
        most = SPLIT_SIZES['train']
        if train_samples is not None and not 1 <= train_samples <= most:
            raise ValueError(f'`train_samples` is {train_samples}; it must be from 1 to {most}, or None.')
        if not isinstance(noise, Mapping):
            noise = dict.fromkeys(modalities, noise)
        for view, deviation in noise.items():
            if view not in modalities or deviation < 0:
                raise ValueError(
                    f"`noise` is {deviation} for '{view}'; it must not be negative, and its views must be "
                    f'among `modalities`, {list(modalities)}.'
                )
        self.split = split
        self.modalities = tuple(modalities)
        self.train_samples = most if train_samples is None else train_samples
        self.noise = {view: noise.get(view, 0.0) for view in modalities}
        super().__init__(data_root=data_root, pipeline=list(pipeline), **kwargs)

    def load_data_list(self) -> np.ndarray:
        """Read the file; return the place in it of each digit of the split, int64 ``(N,)``."""
        stored = self._read(Path(self.data_root) / FILE)
        views = [self._load_view(view, stored) for view in self.modalities]
        # One array, of which a batch takes its rows and draws its noise at once.
        self._features = torch.cat(views, dim=1)
        self._widths = [view.shape[1] for view in views]
        self._noise = torch.tensor(list(self.noise.values())).repeat_interleave(torch.tensor(self._widths))
        places = np.flatnonzero(stored['split'] == self.split)
        if self.split == 'train':  # the file's order is random
            few = [places[stored['label'][places] == label][: self.train_samples] for label in range(10)]
            places = np.sort(np.concatenate(few))
        self._labels = torch.from_numpy(stored['label'].astype(np.int64))
        return places

    def get_data_info(self, idx: int) -> dict[str, int]:
        """Return the place of a digit in the file, and its label."""
        place = int(self.data_list[idx])
        return dict(place=place, label=int(self._labels[place]), sample_idx=idx)

    @property
    def draws_at_random(self) -> bool:
        """Whether what is read may differ from time to time: in training noise is drawn."""
        return super().draws_at_random or (self.split == 'train' and any(self.noise.values()))

    def read(self, indices: Sequence[int], generator: Generator | None = None) -> dict:
        """Return several samples, see the class."""
        places = torch.from_numpy(self.rows(indices))
        features = self._features[places]
        if self.split == 'train':
            features.addcmul_(self._noise, torch.randn(features.shape, generator=generator))
        inputs = dict(zip(self.modalities, features.split(self._widths, dim=1), strict=True))
        return dict(inputs=inputs, labels=self._labels[places])

    def _load_view(self, view: str, stored: dict[str, np.ndarray]) -> Tensor:
        """Return the features of the whole file, standardised, and with noise unless they train."""
        features = stored[view].astype(np.float64)
        train = features[stored['split'] == 'train']
        deviation = train.std(axis=0)
        deviation[deviation == 0] = 1  # a constant feature becomes zero
        features = torch.from_numpy((features - train.mean(axis=0)) / deviation).float()
        if self.split != 'train':
            # A view's noise is of its own, by the row in the source: whatever else is chosen, it stays.
            generator = torch.Generator().manual_seed(list(VIEWS).index(view))
            noise = torch.randn(features.shape, generator=generator)
            features += self.noise[view] * noise[torch.from_numpy(stored['row'])]
        return features

    def _read(self, path: Path) -> dict[str, np.ndarray]:
        if not path.exists():
            raise FileNotFoundError(
                f"No UCI Multiple Features in '{self.data_root}': {SOURCE}; then run `{CONVERTER} "
                f'[FOLDER] --out {self.data_root}`.'
            )
        stored = read_npz(path, ('label', 'split', 'row', *self.modalities), converter=CONVERTER)
        check_lengths(stored, str(path))
        check_classes(stored['label'], self.metainfo['classes'], f"'label' in {path}")
        return stored

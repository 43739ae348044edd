"""Spoken digits paired with images of handwritten ones."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from mmcggm.datasets.readers.batch import BatchedDataset
from mmcggm.datasets.readers.labels import check_classes, check_lengths
from mmcggm.datasets.readers.npz import read_npz
from mmcggm.registry import DATASETS

from .converter import FILE

FIELDS = ('audio', 'label', 'speaker', 'index', 'image', 'image_label', 'image_split')
SPLITS = ('train', 'val', 'test')
BRIGHTEST = 16  # of scikit-learn's digits


@DATASETS.register_module()
class AVDigitsDataset(BatchedDataset):
    """Digits that are heard and seen: 3,000 recordings of 6 speakers, 1,797 images of 8 x 8 pixels.

    The recordings are the Free Spoken Digit Dataset's (https://github.com/Jakobovski/free-spoken-digit-dataset),
    the images scikit-learn's. Both show the same digit; they come from different people, so each
    modality tells the digit on its own. Images that test or validate never train.

    A sample is ``dict(inputs=dict(audio=(1, 40, 50), image=(1, 8, 8)), labels=())``, float32 and int64:
    a log-mel spectrogram, and an image whose values are from 0 to 1 before noise. Noise and occlusion
    make the image worse, and so move the balance to the audio. They are drawn afresh in training
    and are fixed for each recording in validation and test.

    Args:
        data_root: Folder of the file that ``mmcggm convert av_digits`` writes.
        split: ``'train'``, ``'val'`` or ``'test'``.
        split_by: ``'index'``: every speaker is in every split; of a speaker's recordings of a digit
            the first 5 test, the next 5 validate, and 40 train. ``'speaker'``: nobody who tests or
            validates is heard in training.
        val_speaker: Who validates, with ``split_by='speaker'``.
        test_speaker: Who tests, likewise.
        image_noise: Standard deviation of Gaussian noise on each pixel.
        image_occlusion: Share of the image that a black square hides, in [0, 1], to whole pixels.
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
        split_by: str = 'index',
        val_speaker: str = 'theo',
        test_speaker: str = 'yweweler',
        image_noise: float = 0.0,
        image_occlusion: float = 0.0,
        pipeline: Sequence = (),
        **kwargs,
    ) -> None:
        for name, value, known in (
            ('split', split, SPLITS),
            ('split_by', split_by, ('index', 'speaker')),
        ):
            if value not in known:
                raise ValueError(f"`{name}` is '{value}'; it must be one of {list(known)}.")
        if image_noise < 0:
            raise ValueError(f'`image_noise` is {image_noise}; it must not be negative.')
        if not 0 <= image_occlusion <= 1:
            raise ValueError(f'`image_occlusion` is {image_occlusion}; it must be in [0, 1].')
        if val_speaker == test_speaker:
            raise ValueError(f"`val_speaker` and `test_speaker` are both '{test_speaker}'; name two.")
        self.split = split
        self.split_by = split_by
        self.val_speaker = val_speaker
        self.test_speaker = test_speaker
        self.image_noise = image_noise
        self.image_occlusion = image_occlusion
        super().__init__(data_root=data_root, pipeline=list(pipeline), **kwargs)

    def load_data_list(self) -> np.ndarray:
        """Read the file; return for each recording of the split its number, its image's, and its place.

        The place is that in the split: int64 ``(N, 3)``.
        """
        stored = self._read(Path(self.data_root) / FILE)
        self._audio = torch.from_numpy(stored['audio']).unsqueeze(1)
        self._labels = torch.from_numpy(stored['label'].astype(np.int64))
        images = torch.from_numpy(stored['image']).unsqueeze(1).float() / BRIGHTEST
        pools = {
            label: np.flatnonzero((stored['image_split'] == self.split) & (stored['image_label'] == label))
            for label in range(10)
        }
        items, seen = [], Counter()
        for recording in np.flatnonzero(self._splits(stored) == self.split):
            label = int(stored['label'][recording])
            image = pools[label][seen[label] % len(pools[label])]  # the file's order is random
            seen[label] += 1
            items.append((recording, image, len(items)))
        if not items:
            raise ValueError(
                f"{self.data_root}/{FILE} leaves no recording for `split='{self.split}'` with "
                f"`split_by='{self.split_by}'`: convert the complete data set."
            )
        self._images = images[[image for _, image, _ in items]]  # by place
        if self.split != 'train':
            for recording, _, place in items:
                generator = torch.Generator().manual_seed(int(recording))
                self._images[place : place + 1] = self._degraded(self._images[place : place + 1], generator)
        return np.array(items)

    def get_data_info(self, idx: int) -> dict[str, int]:
        """Return the numbers of a recording and of its image in the file, and the label."""
        recording, image, _ = map(int, self.data_list[idx])
        return dict(recording=recording, image=image, label=int(self._labels[recording]), sample_idx=idx)

    @property
    def draws_at_random(self) -> bool:
        """Whether what is read may differ from time to time: in training images get worse at random."""
        worse = self.image_noise or self.image_occlusion
        return super().draws_at_random or (self.split == 'train' and bool(worse))

    def read(self, indices: Sequence[int], generator: Generator | None = None) -> dict:
        """Return several samples, see the class."""
        recordings, _, places = torch.from_numpy(self.rows(indices)).T
        images = self._images[places]
        inputs = dict(
            audio=self._audio[recordings].float(),
            image=self._degraded(images, generator) if self.split == 'train' else images,
        )
        return dict(inputs=inputs, labels=self._labels[recordings])

    def _degraded(self, images: Tensor, generator: Generator | None = None) -> Tensor:
        """Return copies of the images ``(N, 1, H, W)``, with noise and then a black square."""
        images = images + self.image_noise * torch.randn(images.shape, generator=generator)
        size = images.shape[-1]
        side = round(size * math.sqrt(self.image_occlusion))
        top, left = torch.randint(size - side + 1, (len(images), 2), generator=generator).T[..., None]
        place = torch.arange(size)
        rows, columns = ((begin <= place) & (place < begin + side) for begin in (top, left))
        return images.masked_fill(rows[:, None, :, None] & columns[:, None, None, :], 0)

    def _splits(self, stored: dict[str, np.ndarray]) -> np.ndarray:
        """Return the split of each recording."""
        if self.split_by == 'index':
            index = stored['index']
            return np.select([index < 5, index < 10], ['test', 'val'], 'train')
        speaker = stored['speaker']
        known = sorted(set(speaker.tolist()))
        for name in ('val_speaker', 'test_speaker'):
            if getattr(self, name) not in known:
                raise ValueError(f"`{name}` is '{getattr(self, name)}'; {self.data_root}/{FILE} has {known}.")
        return np.select(
            [speaker == self.test_speaker, speaker == self.val_speaker], ['test', 'val'], 'train'
        )

    def _read(self, path: Path) -> dict[str, np.ndarray]:
        if not path.exists():
            raise FileNotFoundError(
                f"No AV digits in '{self.data_root}': download the Free Spoken Digit Dataset with `git clone "
                'https://github.com/Jakobovski/free-spoken-digit-dataset data/fsdd` and run `mmcggm '
                f'convert av_digits data/fsdd/recordings --out {self.data_root}`.'
            )
        stored = read_npz(path, FIELDS, converter='mmcggm convert av_digits')
        check_lengths({name: stored[name] for name in FIELDS[:4]}, str(path))
        check_lengths({name: stored[name] for name in FIELDS[4:]}, str(path))
        for name in ('label', 'image_label'):
            check_classes(stored[name], self.metainfo['classes'], f"'{name}' in {path}")
        return stored

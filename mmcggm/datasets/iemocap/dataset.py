"""Emotion of an utterance from text, audio and vision: IEMOCAP as features."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from mmcggm.datasets.readers.h5_features import H5Features
from mmcggm.datasets.readers.h5_files import read_vectors
from mmcggm.registry import DATASETS

from .target import SPLITS, names_path, read_labels, read_names

FOLDERS = dict(text='L', audio='A', vision='V')
NORMS = ('train', 'utterance', 'none')
SOURCE = "https://github.com/AIM3-RUC/MMIN, 'Download the features'"


@DATASETS.register_module()
class IEMOCAPDataset(BaseDataset):
    """IEMOCAP's utterances with the features of MMIN, read from their HDF5 files as they are needed.

    The features are those of Zhao et al., "Missing Modality Imagination Network", ACL 2021
    (https://github.com/AIM3-RUC/MMIN), which CGGM (https://arxiv.org/abs/2411.01409) uses as well::

        data_root
        ├── A/comparE.h5, A/comparE_mean_std.h5    audio (L, 130); mean and deviation by fold
        ├── V/denseface.h5                         vision (50, 342)
        ├── L/bert_large.h5                        text (22, 1024)
        └── target/{cv}/{trn,val,tst}_{label,int2name}.npy

    A feature file has a matrix for each utterance's name. A sample, before ``pipeline``, is::

        inputs   {modality: float32 (max_length, C)}, padded by zeros
        labels   int64, the class
        lengths  {modality: int64}, frames up to the last that isn't all zeros: the files themselves
                 hold vision and text padded by zeros

    Args:
        data_root: The folder of features.
        split: ``'train'``, ``'val'`` or ``'test'``.
        cv: Fold of the cross-validation, 1 to 10.
        features: Name of the feature file by modality, of those that a sample shall have: any of the three,
            so that nothing is needed of vision, say, if it is left out here and in the model.
        max_lengths: Frames by modality. Shorter utterances are padded at the end, longer ones cut; the log
            says how many.
        audio_norm: How audio is normalised, each channel on its own, before it is padded. ``'train'``, as
            published: by mean and deviation over the fold's training utterances, from
            ``A/{audio}_mean_std.h5``, or computed if there is no such file. ``'utterance'``: by those of the
            utterance. ``'none'``: not at all.
        pipeline: Transforms.
        **kwargs: Of :class:`mmengine.dataset.BaseDataset`.

    Raises:
        FileNotFoundError: If the folder or a file in it is missing.
        ImportError: If h5py is not installed.
        ValueError: If an argument or what a file holds is wrong. NaN and infinity are found when they are
            read.
    """

    # The order of the files' labels; 'happy' includes 'excited'.
    METAINFO = dict(classes=('angry', 'happy', 'neutral', 'sad'))

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        cv: int = 1,
        features: dict[str, str] = dict(text='bert_large', audio='comparE', vision='denseface'),
        max_lengths: dict[str, int] = dict(text=22, audio=350, vision=50),
        audio_norm: str = 'train',
        pipeline: Sequence = (),
        **kwargs,
    ) -> None:
        if split not in SPLITS:
            raise ValueError(f"`split` is '{split}'; it must be one of {list(SPLITS)}.")
        if audio_norm not in NORMS:
            raise ValueError(f"`audio_norm` is '{audio_norm}'; it must be one of {list(NORMS)}.")
        if not features or not set(features) <= set(FOLDERS):
            raise ValueError(f'`features` must name some of {list(FOLDERS)}, got {list(features)}.')
        unlimited = [modality for modality in features if max_lengths.get(modality, 0) < 1]
        if unlimited:
            raise ValueError(f'`max_lengths` must give a positive number for {unlimited}, got {max_lengths}.')
        self.split = split
        self.cv = cv
        self.max_lengths = max_lengths
        self.audio_norm = audio_norm
        self._files = {m: H5Features(Path(data_root, FOLDERS[m], f'{f}.h5')) for m, f in features.items()}
        super().__init__(data_root=data_root, pipeline=list(pipeline), **kwargs)

    def load_data_list(self) -> list[dict]:
        """Return a dict of ``utterance`` and ``label`` for each utterance, after a check of all files."""
        root = Path(self.data_root)
        if not (root / 'target').is_dir():
            raise FileNotFoundError(
                f"No IEMOCAP features in '{root}': download those of MMIN ({SOURCE}) and unpack them so that "
                f'there are {root}/target, A, V and L; nothing needs converting. The licence of the '
                'recordings (https://sail.usc.edu/iemocap) applies.'
            )
        names = read_names(root, self.cv, self.split)
        labels = read_labels(root, self.cv, self.split, self.metainfo['classes'])
        if len(names) != len(labels):
            raise ValueError(
                f"{root}/target/{self.cv} has {len(names)} names but {len(labels)} labels of '{self.split}'. "
                f'The files belong to different versions; download them again ({SOURCE}).'
            )
        channels = {modality: self._check(modality, names) for modality in self._files}
        if self.audio_norm == 'train' and 'audio' in channels:
            self._mean, self._std = self._training_statistics(channels['audio'])
        return [dict(utterance=name, label=label) for name, label in zip(names, labels, strict=True)]

    def prepare_data(self, idx: int) -> dict | None:
        """Read an utterance and run the pipeline."""
        item = self.get_data_info(idx)
        inputs, lengths = {}, {}
        for modality, file in self._files.items():
            features = file.read(item['utterance'])[: self.max_lengths[modality]]
            lengths[modality] = torch.tensor(np.flatnonzero(features.any(axis=1)).max(initial=-1) + 1)
            if modality == 'audio':
                features = self._normalise(features)
            padding = self.max_lengths[modality] - len(features)
            inputs[modality] = torch.from_numpy(np.pad(features, ((0, padding), (0, 0))))
        return self.pipeline(dict(inputs=inputs, labels=torch.tensor(item['label']), lengths=lengths))

    def _check(self, modality: str, names: list[str]) -> int:
        """Return the number of channels, after a check of all utterances."""
        file = self._files[modality]
        if not file.path.is_file():
            raise FileNotFoundError(
                f'{file.path} is missing; there are {sorted(p.name for p in file.path.parent.glob("*.h5"))}. '
                f"Correct `features['{modality}']` in the config, or download the features again ({SOURCE})."
            )
        lengths, channels = file.check(names, str(names_path(self.data_root, self.cv, self.split)))
        limit = self.max_lengths[modality]
        cut = sum(length > limit for length in lengths)
        if cut:
            print_log(
                f'{cut} of {len(names)} utterances in {file.path} are cut to {limit} frames, the longest '
                f'from {max(lengths)}; see `max_lengths`.',
                'current',
                logging.WARNING,
            )
        return channels

    def _training_statistics(self, channels: int) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation of the training set's audio, both ``(C,)`` float32."""
        audio = self._files['audio']
        path = audio.path.with_name(f'{audio.path.stem}_mean_std.h5')
        if not path.is_file():
            return audio.statistics(read_names(Path(self.data_root), self.cv, 'train'))
        mean, std = read_vectors(path, [f'{self.cv}/mean', f'{self.cv}/std'])
        fits = mean.shape == std.shape == (channels,)
        if not fits or not np.isfinite(mean).all() or not (std > 0).all() or np.isinf(std).any():
            raise ValueError(
                f"{path} must hold '{self.cv}/mean' and '{self.cv}/std', finite and positive, for the "
                f'{channels} channels of {audio.path}, but they are of shape {mean.shape} and {std.shape}. '
                'Delete the file, to have them computed.'
            )
        return mean, std

    def _normalise(self, features: np.ndarray) -> np.ndarray:
        if self.audio_norm == 'train':
            return (features - self._mean) / self._std
        if self.audio_norm == 'utterance':
            std = features.std(axis=0, ddof=min(1, len(features) - 1))  # by L - 1, as published
            return (features - features.mean(axis=0)) / np.where(std == 0, 1, std)
        return features

"""Sentiment of spoken clips from text, audio and vision: CMU-MOSI and CMU-MOSEI."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from mmcggm.registry import DATASETS

from .pickle_file import MODALITIES, SentimentSplit, keys_of, parse_split, read_pickle
from .store import SUFFIXES, read_store

SENTIMENT = 3  # the strongest
PADDINGS = ('end', 'file')


@DATASETS.register_module()
class SentimentDataset(BaseDataset):
    """Features of clips and their sentiment, from negative (−3) to positive (3).

    Reads the published pickles into memory, without running code, or what
    ``mmcggm convert sentiment`` makes of them, sample by sample. The formats, what counts as
    padding, and −inf in audio: see :func:`~mmcggm.datasets.sentiment.pickle_file.parse_split`.

    An item is ``dict(inputs={modality: float32 (L, C)}, labels=float32 scalar)`` and, with
    ``padding='end'``, ``lengths={modality: int64 scalar}``.

    Args:
        data_root: Folder of the file.
        ann_file: The file in it: a pickle (``.pkl``) or the converted file (``.h5``).
        split: ``'train'``, ``'valid'`` or ``'test'``.
        modalities: Those to read, any of the file's.
        keys: What the file calls a modality, for those of another name there: ``dict(text='language')``; and
            what a pickle calls the ``labels``, if not so or ``regression_labels``, or if it has both.
        channels: Expected C by modality, so that a file with other features is noticed. Default: any.
        padding: ``'end'``: sequences start with their first token that counts, are zero after the last,
            and come with lengths. ``'file'``: as the file has them, at the front or at the end, without
            lengths, as in the code of CGGM.
        pipeline: Transforms of items.
        **kwargs: Of :class:`mmengine.dataset.BaseDataset`.

    Raises:
        FileNotFoundError: If the file is missing.
        UnsafePickleError: If the pickle would run code.
        ValueError: If an argument does not fit the file, or the file is damaged.
    """

    def __init__(
        self,
        data_root: str,
        ann_file: str = 'aligned_50.pkl',
        split: str = 'train',
        modalities: Sequence[str] = MODALITIES,
        keys: dict[str, str] | None = None,
        channels: dict[str, int] | None = None,
        padding: str = 'end',
        pipeline: Sequence = (),
        **kwargs,
    ) -> None:
        if not modalities:
            raise ValueError('`modalities` must name one or more.')
        if padding not in PADDINGS:
            raise ValueError(f"`padding` must be 'end' or 'file', got {padding!r}.")
        self.split = split
        self.modalities = tuple(modalities)
        self.keys = keys_of(modalities, keys)
        self.channels = channels or {}
        self.padding = padding
        kwargs.setdefault('serialize_data', False)  # the list holds nothing but indices
        super().__init__(data_root=data_root, ann_file=ann_file, pipeline=list(pipeline), **kwargs)

    def load_data_list(self) -> list[dict]:
        """Open the file; an item of the list is a sample's index in it."""
        path = Path(self.ann_file)
        if not path.is_file():
            pickle = path.with_suffix('.pkl')
            convert = f' and run `mmcggm convert sentiment {pickle}`'
            raise FileNotFoundError(
                f"No sentiment data at '{path}': download {pickle.name} of CMU-MOSI or CMU-MOSEI from "
                'https://github.com/thuiar/MMSA#2-datasets (the pickles in the format of MulT from '
                f"https://github.com/yaohungt/Multimodal-Transformer#datasets) to '{path.parent}'"
                f'{convert if path.suffix in SUFFIXES else ""}.'
            )
        self._data = self._read(path)
        self._look_at_labels(path)
        for modality, channels in self.channels.items():
            found = self._data.features[modality].shape[2]
            if found != channels:
                raise ValueError(
                    f"{path}: '{modality}' has {found} channels, the config says {channels}. Set "
                    f"`channels['{modality}']` of the data sets and `in_channels` of its encoder to {found}, "
                    'or choose another file.'
                )
        return [dict(index=index) for index in range(len(self._data))]

    def prepare_data(self, idx: int) -> dict:
        """Read a sample and run the pipeline."""
        index = self.get_data_info(idx)['index']
        inputs, lengths = {}, {}
        for modality in self.modalities:
            features = self._data.features[modality]
            if self.padding == 'file':
                x = np.array(features[index])  # a copy, which transforms may write to
            else:
                start, stop = self._data.spans[modality][index].tolist()
                x = np.zeros(features.shape[1:], np.float32)
                x[: stop - start] = features[index, start:stop]
                lengths[modality] = torch.tensor(stop - start)
            inputs[modality] = torch.from_numpy(x)
        item = dict(inputs=inputs, labels=torch.tensor(self._data.labels[index]))
        return self.pipeline({**item, 'lengths': lengths} if lengths else item)

    def _look_at_labels(self, path: Path) -> None:
        """Say what the scores of sentiment would make of odd labels."""
        labels = self._data.labels
        outside = int((np.abs(labels) > SENTIMENT).sum())
        oddities = (
            [f'{outside} of {len(labels)} lie outside of −{SENTIMENT} to {SENTIMENT}'] if outside else []
        )
        if len(labels) and ((labels >= 0).all() or (labels < 0).all()):
            oddities.append('all are on one side of 0, so that their sign tells nothing')
        if oddities:
            print_log(
                f"{path}, split '{self.split}': the labels are from {labels.min():g} to {labels.max():g}; "
                f'{"; ".join(oddities)}. Bring them to sentiments around 0, negative to positive.',
                'current',
                logging.WARNING,
            )

    def _read(self, path: Path) -> SentimentSplit:
        if path.suffix in SUFFIXES:
            return read_store(path, self.split, self.keys)
        splits = read_pickle(path)
        if self.split not in splits:
            raise ValueError(
                f"{path} has no split '{self.split}'; it has {list(splits)}. Set `split` of the data set to "
                'what the file calls it.'
            )
        return parse_split(splits[self.split], f"{path}, split '{self.split}'", self.keys)

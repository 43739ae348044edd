"""Features by modality, of any source, by config alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmengine.logging import print_log
from torch import Generator

from mmcggm.datasets.readers.batch import BatchedDataset
from mmcggm.datasets.readers.source import Read, Source
from mmcggm.datasets.readers.spans import spans_of_lengths
from mmcggm.registry import DATASETS
from mmcggm.utils import import_optional

from .alignment import aligned, as_column, check_counts, read_setting, warn_of_padding
from .dialogues import flatten_dialogues, utterances_of
from .rows import FeatureRows, cut_spans, find_padding, nonzero_rows
from .splits import assign_by_fraction, check_groups, rows_by_name, rows_by_place
from .targets import read_targets

LOOKED_AT = 1_000  # sequences in which padding is looked for that nobody has named
SAMPLED, BLOCKS = 100_000, 1_000  # samples that tell mean and deviation, and blocks that they are taken in


@DATASETS.register_module()
class FeatureDataset(BatchedDataset):
    """Arrays by modality and their labels, from files of any common kind.

    A *source* is ``'path:key'``, with a path below ``data_root`` to an ``.npy``, ``.npz``, ``.h5``, ``.mat``,
    ``.csv``, ``.tsv``, ``.txt`` (or one of these with ``.gz``), ``.parquet``, ``.safetensors``, torch or
    pickle file, and the key of an array in it: names in mappings and groups and places in lists, parted by
    slashes; of a table, columns (see :class:`~mmcggm.datasets.readers.tables.Table`). ``*`` stands for the
    name of a sample, in the path (``'audio/*.npy'``) or as a step of the key (``'all.pkl:*/audio'``). Or a
    source is a dict of ``file``, ``key``, ``header`` of a table, ``names``, the column or key that has the
    rows' names, and ``channels`` of the last axis, such as ``'0:3'``. ``{split}`` in it stands for ``split``.
    No file is ever executed.

    Rows that have names are matched by them, in the labels' order. If a source has none, all must have one
    order.

    An item is ``dict(inputs={modality: float32 (C,) or (L, C)}, labels=...)`` and, where sequences have
    padding, ``lengths={modality: int64 scalar}``; sequences then begin with their first token that counts,
    and are zero after the last. ``labels`` is int64 ``()``, or float32 ``(K,)``, ``()`` or ``(D,)``.

    Args:
        inputs: The source of each modality: vectors ``(N, C)``, sequences ``(N, L, C)``, or a list of
            sequences ``(L_i, C)``.
        labels: The source of the labels, ``(N,)`` or ``(N, K)``.
        split: Which split to take; None for all rows.
        splits: How rows are split, unless each split has files or keys of its own (``{split}`` in sources):
            fractions, such as ``dict(train=0.7, val=0.15, test=0.15)``, of classes alike or of groups; or the
            source of the split's name of each row; or, if it holds ``{split}``, of the split's rows, as
            their names or indices, or as a mask. With ``dialogues``, of each dialogue.
        seed: Of splits by fractions.
        groups: The source of each row's group, such as a subject or a video; none is ever in two splits.
        target: ``'class'``, ``'multilabel'`` or ``'regression'``.
        classes: Of ``'class'`` how many, where labels count from 0 on, or what the file calls them, in
            order. Of ``'multilabel'`` their names, if they have any.
        lengths: By modality, the source of the number of tokens that count, ``(N,)``. Padding may be at
            either end.
        padding: Modalities of which rows of zeros at either end are padding.
        max_length: The most tokens of a sequence, for all modalities or by modality; later ones are cut off.
        dialogues: If the arrays hold utterances by dialogue, ``(D, U, ...)`` or a list of ``(U_i, ...)``: the
            source of the mask ``(D, U)`` or of the numbers ``(D,)`` of the utterances that count; True if all
            in the labels do. A sample is an utterance, and a dialogue a group.
        data_root: Folder of the files.
        obtain: How to get the files: said where one is missing.
        pipeline: Transforms of items.
        **kwargs: Of :class:`mmengine.dataset.BaseDataset`.

    Raises:
        FileNotFoundError: If a file is missing.
        UnsafePickleError: If a pickle would run code.
        ValueError: If files and settings don't fit each other; it names the setting.
    """

    def __init__(
        self,
        inputs: Mapping[str, str | dict],
        labels: str | dict,
        split: str | None = None,
        splits: str | dict | None = None,
        seed: int = 0,
        groups: str | dict | None = None,
        target: str = 'class',
        classes: int | Sequence | None = None,
        lengths: Mapping[str, str | dict] | None = None,
        padding: Sequence[str] = (),
        max_length: int | Mapping[str, int] | None = None,
        dialogues: str | dict | bool | None = None,
        data_root: str = '',
        obtain: str = '',
        pipeline: Sequence = (),
        **kwargs: Any,
    ) -> None:
        if not isinstance(inputs, Mapping) or not inputs:
            raise ValueError(f'`inputs` must name the source of one modality or more, got {inputs!r}.')
        if lengths is not None and not isinstance(lengths, Mapping):
            raise ValueError(
                f'`lengths` must name the source of each modality, such as a dict, got {lengths!r}.'
            )
        split = None if split is None else str(split)
        self.inputs, self.labels = dict(inputs), labels
        self.split, self.splits, self.seed, self.groups = split, splits, seed, groups
        self.target, self.classes = target, classes
        self.lengths, self.padding = dict(lengths or {}), tuple(padding)
        self.max_length = max_length if isinstance(max_length, Mapping) else dict.fromkeys(inputs, max_length)
        self.dialogues, self.obtain = dialogues, obtain
        for setting, names in (
            ('lengths', self.lengths),
            ('padding', self.padding),
            ('max_length', self.max_length),
        ):
            unknown = [name for name in names if name not in self.inputs]
            if unknown:
                raise ValueError(f'`{setting}` names {unknown}, but `inputs` are {list(self.inputs)}.')
        short = {modality: limit for modality, limit in self.max_length.items() if not _is_length(limit)}
        if short:
            raise ValueError(f'`max_length` must be None or a whole number from 1 on, got {short}.')
        super().__init__(data_root=data_root, ann_file='', pipeline=list(pipeline), **kwargs)

    def load_data_list(self) -> np.ndarray:
        """Open the files and return the rows of the split, int64 ``(N,)``."""
        settings = {f'inputs.{modality}': value for modality, value in self.inputs.items()}
        settings |= {f'lengths.{modality}': value for modality, value in self.lengths.items()}
        settings |= dict(labels=self.labels, groups=self.groups)
        settings |= dict(dialogues=None if isinstance(self.dialogues, bool) else self.dialogues)
        settings |= dict(splits=self.splits if self._names_splits else None)
        read = {
            setting: self._read(value, setting) for setting, value in settings.items() if value is not None
        }
        values, names = aligned(read)
        of_splits = values.pop('splits', None)
        groups = None if self.groups is None else as_column(values.pop('groups'), 'groups', 'row')
        utterances = None
        if self.dialogues:
            mask = utterances_of(values.pop('dialogues', None), values['labels'])
            utterances = mask.sum(axis=1) if mask.ndim == 2 else mask
            values = {name: flatten_dialogues(value, mask, f'`{name}`') for name, value in values.items()}
            if groups is not None and len(groups) != len(mask):
                raise ValueError(
                    f'`groups` ({read["groups"][0]}) has {len(groups)} rows; with `dialogues` it must '
                    f'name the group of each of {len(mask)} dialogues.'
                )
            if groups is None:
                groups = np.arange(len(mask)) if names is None else names
            groups = np.repeat(groups, utterances)
        counts = {name: len(value) for name, value in values.items()}
        if groups is not None:
            counts['groups'] = len(groups)
        check_counts(counts, read)
        self._rows = {
            modality: self._features(modality, read[f'inputs.{modality}'][0], values)
            for modality in self.inputs
        }
        where = f'`labels` ({read["labels"][0]})'
        targets = read_targets(values['labels'], self.target, self.classes, where)
        self._labels = torch.from_numpy(targets.values)
        self.origin = str(read['labels'][0])
        strata = targets.values if self.target == 'class' else None
        named = read['labels'][1].by_name or any(found.by_name for _, found in read.values())
        rows = self._rows_of_split(counts['labels'], strata, groups, utterances, of_splits, (names, named))
        # Dialogues of other files may have the same numbers.
        known = groups is not None and not (self.groups is None and names is None and self._has_own_files)
        self.group_names = set(groups[rows].astype(str)) if known else set()
        self._metainfo |= dict(
            channels={modality: features.channels for modality, features in self._rows.items()},
            target=targets.kind,
            outputs=targets.outputs,
        )
        if targets.classes:
            self._metainfo['classes'] = targets.classes
        shown = f' of {len(self.group_names)} groups' if self.group_names else ''
        print_log(
            f"Features, split '{self.split}': {len(rows)} of {counts['labels']} rows{shown}.", 'current'
        )
        return rows

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Return the row of a sample in the files."""
        return dict(row=int(self.data_list[idx]), sample_idx=idx)

    def read(self, indices: Sequence[int], generator: Generator | None = None) -> dict[str, Any]:
        """Return several samples, see the class."""
        rows = self.rows(indices)
        batch: dict[str, Any] = dict(
            inputs={m: torch.from_numpy(features.batch(rows)) for m, features in self._rows.items()},
            labels=self._labels[rows],
        )
        lengths = {
            m: torch.from_numpy(features.lengths(rows))
            for m, features in self._rows.items()
            if features.padded
        }
        if lengths:
            batch['lengths'] = lengths
        return batch

    def channel_statistics(self, modality: str) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation of each channel over the split, float32 ``(C,)``.

        Of sequences over all tokens that count. A constant channel's deviation is 1. Of more than 100,000
        samples, so many are taken, in a thousand blocks from all over the split, so that a training starts at
        once: the mean is then off by some 0.003 deviations, which changes nothing.
        """
        scaler = self._scaler(modality)
        return scaler.mean_.astype(np.float32), scaler.scale_.astype(np.float32)

    def channel_moments(self, modality: str) -> tuple[int, np.ndarray, np.ndarray]:
        """Return of how many tokens or vectors mean and variance are, and both by channel, see above."""
        scaler = self._scaler(modality)
        return int(scaler.n_samples_seen_), scaler.mean_, scaler.var_

    def get_cat_ids(self, idx: int) -> list[int]:
        """Return the classes or labels of a sample, as MMEngine's ``ClassBalancedDataset`` asks for them.

        Raises:
            ValueError: If targets are those of a regression.
        """
        label = self._labels[self.rows([idx])[0]]
        if self.target == 'regression':
            raise ValueError("A regression has no classes to balance: `target` is 'regression'.")
        return [int(label)] if self.target == 'class' else label.nonzero().flatten().tolist()

    def _scaler(self, modality: str) -> Any:
        """Return a StandardScaler that has seen the split."""
        scaler = import_optional('sklearn.preprocessing', 'data').StandardScaler()
        rows = np.asarray(self.data_list)
        if len(rows) > SAMPLED:
            starts = np.linspace(0, len(rows) - SAMPLED // BLOCKS, BLOCKS).astype(np.int64)
            rows = rows[(starts[:, None] + np.arange(SAMPLED // BLOCKS)).ravel()]
        for tokens in self._rows[modality].tokens(rows):
            scaler.partial_fit(tokens)
        return scaler

    @property
    def _has_own_files(self) -> bool:
        """Whether each split has files or keys of its own."""
        return any('{split}' in str(value) for value in (*self.inputs.values(), self.labels))

    @property
    def _names_splits(self) -> bool:
        """Whether `splits` is a source that names the split of each row."""
        return not (
            self.splits is None
            or '{split}' in str(self.splits)
            or (isinstance(self.splits, Mapping) and 'file' not in self.splits)
        )

    def _read(self, value: str | dict, setting: str) -> tuple[Source, Read]:
        try:
            return read_setting(value, setting, self.data_root or '', self.split)
        except FileNotFoundError as error:
            raise FileNotFoundError(f'{error} {self.obtain}'.rstrip()) from error

    def _features(self, modality: str, source: Source, of_settings: Mapping[str, Any]) -> FeatureRows:
        where = f'`inputs.{modality}` ({source})'
        values, spans = of_settings[f'inputs.{modality}'], None
        if modality in self.lengths:
            setting = f'lengths.{modality}'
            real = nonzero_rows(values, where)
            lengths = as_column(of_settings[setting], setting, 'row')
            spans = spans_of_lengths(lengths, setting, modality, real, f'`{setting}`')
        elif modality in self.padding:
            spans = find_padding(values, where)
        elif not isinstance(values, list) and values.ndim == 3:
            warn_of_padding(nonzero_rows(values[:LOOKED_AT], where), modality)
        features = FeatureRows(values, where, source.channels, spans)
        limit = self.max_length.get(modality)
        if limit is not None and features.max_length is not None:
            spans = cut_spans(spans, features, limit, where)
            features = FeatureRows(values, where, source.channels, spans)
        return features

    def _rows_of_split(
        self,
        count: int,
        strata: np.ndarray | None,
        groups: np.ndarray | None,
        utterances: np.ndarray | None,
        of_splits: Any,
        named: tuple[np.ndarray | None, bool],
    ) -> np.ndarray:
        own_files = self._has_own_files
        if self.splits is None or own_files:
            if self.splits is not None:
                raise ValueError('Sources with `{split}` are split already: take out `splits`, or `{split}`.')
            if self.split is not None and not own_files:
                raise ValueError(
                    f"`split` is '{self.split}', but nothing says which rows that "
                    'are: set `splits` (fractions, or '
                    'where they are named), or write {split} where the sources differ.'
                )
            return np.arange(count)
        if self.split is None:
            return np.arange(count)
        if isinstance(self.splits, Mapping) and 'file' not in self.splits:
            if self.split not in self.splits:
                raise ValueError(f"`split` is '{self.split}', but `splits` are {list(self.splits)}.")
            assigned = assign_by_fraction(self.splits, count, self.seed, strata, groups)
            return np.flatnonzero(assigned == self.split)
        # Whole dialogues are split, where there are any: of them the files know the numbers.
        units, what = (count, 'rows') if utterances is None else (len(utterances), 'dialogues')
        dialogue_of_row = None if utterances is None else np.repeat(np.arange(units), utterances)
        if not self._names_splits:
            source, found = self._read(self.splits, 'splits')
            where = f'`splits` ({source})'
            places = rows_by_place(as_column(found.values, 'splits', 'entry'), units, where, *named)
            return places if dialogue_of_row is None else np.flatnonzero(np.isin(dialogue_of_row, places))
        where = f'`splits` ({self.splits})'
        names = np.asarray(of_splits)
        if names.shape not in ((units,), (units, 1)):
            raise ValueError(
                f'{where} has shape {names.shape}; it must name the '
                f'split of each of {units} {what}. To '
                f"list a split's {what} instead, write {{split}} in it."
            )
        names = names.reshape(units)
        if dialogue_of_row is not None:
            names = names[dialogue_of_row]
        if groups is not None:
            check_groups(names, groups, f'`groups` ({self.groups})')
        return rows_by_name(names, self.split, where)


def _is_length(limit: Any) -> bool:
    return limit is None or (isinstance(limit, int) and limit >= 1)

"""Predict classes, labels or numbers from arrays or files by modality."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from tqdm import tqdm

from mmcggm.datasets.features.alignment import aligned, as_column
from mmcggm.datasets.features.dialogues import flatten_dialogues, utterances_of
from mmcggm.datasets.features.rows import FeatureRows, cut_spans, find_padding, nonzero_rows
from mmcggm.datasets.readers.source import SUFFIXES, Source
from mmcggm.datasets.readers.sources import read_source
from mmcggm.datasets.readers.spans import spans_of_lengths
from mmcggm.models.predictor import LOSSES

from .inference_model import init_model, tested_data

Values = Any  # (N, ...), or N arrays that differ in length
Samples = Mapping[str, Values]
Input = str | Path | Samples
KINDS = ('class', 'multilabel', 'regression')
FEATURES = ('FeatureDataset', 'mmcggm.FeatureDataset')


class PredictionInferencer:
    """Predicts with a model that makes one prediction for each sample, such as :class:`MultimodalPredictor`.

    Args:
        config: Path of the config, or the config itself. None: the config that the checkpoint keeps.
        checkpoint: Path of the checkpoint.
        device: Such as ``'cuda:0'`` or ``'cpu'``. Default: an accelerator if there is one.
        task: ``'class'``, ``'multilabel'`` or ``'regression'``. Default: the task that the loss is for.
        classes: Names of the classes or labels. Default: the names in the checkpoint or the config.
        batch_size: How many samples go through the model at once.
        options: Overrides of settings in the config, nested keys with dots.
        trust: Whether a checkpoint may hold more than data, and so run any code.

    Attributes:
        model: The model.
        modalities (tuple[str, ...]): The modalities that the model takes.

    Raises:
        ValueError: If the task cannot be found out, or a setting is wrong.

    Example:
        >>> inferencer = PredictionInferencer('configs/cggm/mfeat.py', 'epoch_12.pth')
        >>> for prediction in inferencer('samples.npz'):
        >>>     print(prediction['pred_class'], prediction['pred_score'])
    """

    def __init__(
        self,
        config: str | Path | Config | None,
        checkpoint: str | Path | None,
        device: str | None = None,
        *,
        task: str | None = None,
        classes: Sequence[str] | None = None,
        batch_size: int = 64,
        options: Mapping[str, Any] | None = None,
        trust: bool = False,
    ) -> None:
        if task not in (None, *KINDS):
            raise ValueError(f"`task` is '{task}'; it must be one of {list(KINDS)}.")
        if batch_size < 1:
            raise ValueError(f'`batch_size` is {batch_size}; it must be at least 1.')
        self.model = init_model(config, checkpoint, device, options, trust)
        self.batch_size = batch_size
        inner = getattr(self.model, 'model', self.model)  # of a guided model, or itself
        criterion = type(getattr(inner, 'criterion', None))
        self.task = task or next(
            (kinds[0] for known, kinds in LOSSES.items() if issubclass(criterion, known)), None
        )
        if self.task is None:
            raise ValueError(
                f'The loss of the model is {criterion.__name__}, which does not tell what it predicts: set '
                f'`task` (--task) to one of {list(KINDS)}.'
            )
        encoders = getattr(getattr(inner, 'backbone', None), 'encoders', None)
        self.modalities = tuple(getattr(self.model, 'modalities', None) or encoders or ())
        if not self.modalities:
            raise ValueError(
                f'{type(inner).__name__} does not tell its modalities: wrap it in a GuidedModel.'
            )
        self._data = tested_data(self.model.cfg)
        self._sources = {
            modality: self._configured(modality) if self._data.get('type') in FEATURES else None
            for modality in self.modalities
        }
        known = self.model.dataset_meta.get('classes') or (self._data.get('metainfo') or {}).get('classes')
        given = self._data.get('classes')
        self.classes = classes or known or (given if isinstance(given, (list, tuple)) else None)

    def __call__(
        self,
        inputs: Input | Sequence[Input],
        lengths: Mapping[str, Sequence[int]] | None = None,
        progress: bool = True,
    ) -> list[dict[str, Any]]:
        """Predict each sample.

        Args:
            inputs: By modality an array ``(N, ...)`` of N samples, or N sequences ``(L_i, C)``; or the path
                of a file that holds these under the modalities' names (see
                :class:`~mmcggm.datasets.FeatureDataset` for the kinds of files), or of a folder of a file a
                modality, such as ``audio.npy``; or a list of these, in which a mapping is *one* sample,
                without the axis N.
            lengths: By modality, how many tokens of each sequence ``(N, L, C)`` count.
            progress: Whether to show how far it is.

        Returns:
            A dict a sample. Classification: ``pred_label``, the index; ``pred_class``, its name;
            ``pred_score`` and ``pred_scores``, probabilities. Several labels: ``pred_label`` and
            ``pred_class``, lists of those of a probability above 0.5, and ``pred_scores``. Regression:
            ``pred_value``, an array ``(D,)``. With each, ``sample``: its name in a table, else its place.

        Raises:
            FileNotFoundError: If a file is missing.
            ValueError: If a modality is missing, or what it holds does not fit.
        """
        if isinstance(inputs, (str, Path, Mapping)):
            parts = [self._part(inputs, lengths)]
        else:
            parts = [self._part(item, None) for item in self._joined(list(inputs), lengths)]
        total = sum(part.number for part in parts)
        results = []
        with tqdm(total=total, desc='Predicting', unit='sample', disable=not progress) as bar:
            for part in parts:
                for start in range(0, part.number, self.batch_size):
                    rows = np.arange(start, min(start + self.batch_size, part.number))
                    for row, prediction in zip(rows, self._predict(part.batch(rows)), strict=True):
                        results.append(dict(sample=part.name_of(int(row)), **self._describe(prediction)))
                    bar.update(len(rows))
        return results

    def _configured(self, modality: str) -> Source | None:
        """Return where the config finds a modality: an input of the same kind has it under the same key."""
        value = (self._data.get('inputs') or {}).get(modality)
        return value and self._source(value, f'inputs.{modality}')

    def _source(self, value: Any, setting: str) -> Source:
        split = self._data.get('split')
        return Source.of(value, '', None if split is None else str(split), setting)

    def _beside(self) -> dict[str, Source]:
        """Return where the config finds what counts of the inputs, by setting."""
        found = {f'lengths.{m}': value for m, value in (self._data.get('lengths') or {}).items()}
        if self._data.get('dialogues') not in (None, False, True):
            found['dialogues'] = self._data['dialogues']
        return {setting: self._source(value, setting) for setting, value in found.items()}

    def _joined(self, items: list[Input], lengths: Any) -> Iterator[Input]:
        """Yield paths as they are, and mappings, which are samples, together."""
        if lengths is not None:
            raise ValueError('`lengths` goes with arrays (N, L, C), not with a list.')
        samples = [item for item in items if isinstance(item, Mapping)]
        if not samples:
            yield from items
            return
        if len(samples) < len(items):
            raise ValueError('A list holds either paths or samples, not both.')
        lacking = [place for place, item in enumerate(samples) if not set(self.modalities) <= set(item)]
        if lacking:
            raise ValueError(
                f'Sample {lacking[0]} lacks {sorted(set(self.modalities) - set(samples[lacking[0]]))}: the '
                f'model takes {list(self.modalities)}.'
            )
        yield {modality: [item[modality] for item in samples] for modality in self.modalities}

    def _part(self, inputs: Input, lengths: Mapping[str, Sequence[int]] | None) -> _Part:
        names = None
        where = ''
        is_features = self._data.get('type') in FEATURES
        of_file: Mapping[str, Any] = {}
        if isinstance(inputs, (str, Path)):
            values, names = read_samples(
                Path(inputs),
                self._sources,
                self._beside() if is_features else {},
                is_features and bool(self._data.get('dialogues')),
            )
            of_file = {m: values[f'lengths.{m}'] for m in self.modalities if f'lengths.{m}' in values}
            where = f' of {inputs}'
        else:
            values = inputs
        lacking = [modality for modality in self.modalities if modality not in values]
        if lacking:
            raise ValueError(f'The input lacks {lacking}: the model takes {list(self.modalities)}.')
        unknown = sorted(set(lengths or {}) - set(self.modalities))
        if unknown:
            raise ValueError(f'`lengths` names {unknown}, but the model takes {list(self.modalities)}.')
        padding = self._data.get('padding') or () if is_features else ()
        limits = self._data.get('max_length') if is_features else None
        columns = {
            modality: _Column(
                values[modality],
                f"'{modality}'{where}",
                is_features,
                modality in padding,
                (lengths or {}).get(modality),
                of_file.get(modality),
                limits.get(modality) if isinstance(limits, Mapping) else limits,
            )
            for modality in self.modalities
        }
        counts = {modality: len(column) for modality, column in columns.items()}
        if len(set(counts.values())) > 1:
            raise ValueError(f'The modalities{where} must have as many samples each, but have {counts}.')
        return _Part(columns, next(iter(counts.values())), names)

    @torch.no_grad()
    def _predict(self, batch: dict[str, Any]) -> list[torch.Tensor]:
        samples = self.model.test_step(batch)
        return [sample.prediction.float().cpu() for sample in samples]

    def _describe(self, prediction: torch.Tensor) -> dict[str, Any]:
        if not torch.isfinite(prediction).all():
            raise ValueError('A prediction is not finite: check the checkpoint and the input.')
        if self.task == 'regression':
            return dict(pred_value=prediction.numpy())
        if self.task == 'multilabel':
            scores = prediction.sigmoid()
            named = torch.nonzero(prediction > 0).flatten().tolist()
            return dict(
                pred_label=named,
                pred_class=[self.name_of_class(label) for label in named],
                pred_scores=scores.numpy(),
            )
        scores = prediction.softmax(dim=0)
        label = int(prediction.argmax())
        return dict(
            pred_label=label,
            pred_class=self.name_of_class(label),
            pred_score=float(scores[label]),
            pred_scores=scores.numpy(),
        )

    def name_of_class(self, label: int) -> str:
        """Return the name of a class; its index where there are no names."""
        return str(self.classes[label]) if self.classes and label < len(self.classes) else str(label)


class _Part:
    """Samples that belong together."""

    def __init__(self, columns: dict[str, _Column], number: int, names: np.ndarray | None) -> None:
        self._columns = columns
        self.number = number
        self._names = names

    def name_of(self, row: int) -> str | int:
        return row if self._names is None else str(self._names[row])

    def batch(self, rows: np.ndarray) -> dict[str, Any]:
        batch: dict[str, Any] = dict(inputs={m: column.batch(rows) for m, column in self._columns.items()})
        lengths = {m: column.lengths(rows) for m, column in self._columns.items() if column.padded}
        return dict(batch, lengths=lengths) if lengths else batch


class _Column:
    """The samples of one modality: features as :class:`FeatureDataset` has them, or anything else as it is.

    Args:
        values: ``(N, ...)``, or N arrays.
        where: What messages call them.
        is_features: Whether they are numbers that become float32, as features do.
        finds_padding: Whether rows of zeros at either end are padding.
        lengths: How many tokens count, from the first on.
        lengths_of_file: How many tokens count, with padding at either end, as in training.
        limit: The most tokens of a sequence; later ones are cut off.
    """

    def __init__(
        self,
        values: Values,
        where: str,
        is_features: bool,
        finds_padding: bool,
        lengths: Sequence[int] | None,
        lengths_of_file: Any = None,
        limit: int | None = None,
    ) -> None:
        if isinstance(values, torch.Tensor):
            values = values.detach().cpu().numpy()
        if isinstance(values, (list, tuple)):
            values = [np.asarray(value) for value in values]
            if not values:
                raise ValueError(f'{where} holds no sample.')
            if len({value.shape for value in values}) == 1:
                values = np.stack(values)
        spans = None
        if lengths is not None:
            ends = np.asarray(lengths, dtype=np.int64)
            if ends.shape != (len(values),) or ends.min(initial=1) < 1:
                raise ValueError(f'`lengths` of {where} must be {len(values)} numbers of tokens, at least 1.')
            spans = np.stack([np.zeros_like(ends), ends], axis=1)
        elif lengths_of_file is not None:
            found = as_column(lengths_of_file, f'lengths of {where}', 'sample')
            spans = spans_of_lengths(found, 'lengths', where, nonzero_rows(values, where), where)
        elif finds_padding:
            parts = [value[None] for value in values] if isinstance(values, list) else [values]
            spans = np.concatenate([find_padding(part, where) for part in parts])
        self._rows = self._values = None
        if is_features or spans is not None or isinstance(values, list):
            self._rows = FeatureRows(values, where, spans=spans)
            if limit is not None and self._rows.max_length is not None:
                self._rows = FeatureRows(values, where, spans=cut_spans(spans, self._rows, limit, where))
            self.padded = self._rows.padded
        else:
            self._values = np.asarray(values)
            self.padded = False
            if self._values.ndim == 0 or self._values.dtype.kind not in 'biuf':
                raise ValueError(f'{where} must be an array of numbers (N, ...), got {self._values.dtype}.')
            if self._values.dtype.kind == 'f':
                self._values = self._values.astype(np.float32, copy=False)
                if not np.isfinite(self._values).all():
                    raise ValueError(f'{where} holds NaN or infinite values.')

    def __len__(self) -> int:
        return len(self._rows if self._rows is not None else self._values)

    def batch(self, rows: np.ndarray) -> torch.Tensor:
        values = (
            self._rows.batch(rows) if self._rows is not None else np.ascontiguousarray(self._values[rows])
        )
        return torch.from_numpy(values)

    def lengths(self, rows: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.asarray(self._rows.lengths(rows), dtype=np.int64))


def read_samples(
    path: Path,
    configured: Mapping[str, Source | None],
    beside: Mapping[str, Source],
    of_dialogues: bool,
) -> tuple[dict[str, Values], np.ndarray | None]:
    """Read samples from a file of arrays by modality, or from a folder of a file a modality.

    In a folder, the file that the config names is taken before one that has the modality's name. Rows that
    have names are matched by them. Of dialogues, each utterance becomes a sample, which has no name.

    Args:
        path: The file or folder.
        configured: By modality, where the config finds it: the key in that file, where it names one, and the
            channels are those here. Without a key, that is the modality's name.
        beside: By setting, where the config finds ``'lengths.{modality}'`` and ``'dialogues'``.
        of_dialogues: Whether arrays hold utterances by dialogue.

    Returns:
        Arrays by modality and setting, and the samples' names, where a file has any.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is of no known kind or holds no such array.
    """
    read = {}
    for modality, source in configured.items():
        found = read_source(_source(path, modality, source))
        channels = slice(None) if source is None else source.channels
        if channels != slice(None):
            found = replace(found, values=np.asarray(found.values)[..., channels])
        read[modality] = _source(path, modality, source), found
    for setting, source in beside.items():
        try:
            of_setting = _source(path, setting, source)
            read[setting] = of_setting, read_source(of_setting)
        except (FileNotFoundError, ValueError) as error:
            raise type(error)(f'{error} The config reads `{setting}` there, to tell what counts.') from error
    values, names = aligned(read)
    if of_dialogues:
        mask = utterances_of(values.pop('dialogues', None), next(iter(values.values())))
        values = {
            name: flatten_dialogues(value, mask, f"'{name}' of {path}") for name, value in values.items()
        }
        names = None
    return values, names


def _source(path: Path, modality: str, configured: Source | None) -> Source:
    if not path.is_dir():
        if not path.name.endswith(SUFFIXES):
            raise ValueError(
                f"'{path}' must be a folder, or a file that ends in one of {', '.join(SUFFIXES)}."
            )
        if configured is None:
            return Source(path, modality, modality)
        return replace(configured, path=path, key=configured.key or modality, setting=modality, split=None)
    if configured is not None and (path / configured.path.name).is_file():
        return replace(configured, path=path / configured.path.name, setting=modality, split=None)
    files = [path / f'{modality}{suffix}' for suffix in SUFFIXES]
    there = [file for file in files if file.is_file()]
    if len(there) != 1:
        found = f'several: {", ".join(map(str, there))}' if there else 'none'
        named = '' if configured is None else f', or {configured.path.name}, which the config names'
        raise FileNotFoundError(
            f"'{path}' must hold one file for '{modality}', such as {modality}.npy{named}; it has {found}. A "
            'file that holds all modalities can be the input itself.'
        )
    return Source(there[0], '', modality, None if configured is None else configured.header)

"""A network that does not fit its data is an error before it runs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from itertools import combinations, product
from typing import Any

import numpy as np
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import nn
from torch.utils.data import DataLoader

from mmcggm.datasets import BraTSDataset
from mmcggm.datasets.brats.splits import UNLABELLED
from mmcggm.datasets.transforms import LoadBraTSVolume
from mmcggm.engine.batch_checks import check_single_samples
from mmcggm.engine.wrapped_data import inner_datasets
from mmcggm.evaluation import BraTSMetric, SliceDiceMetric, SmallRegionThreshold
from mmcggm.models import MultimodalSegmentor, UNetEncoder
from mmcggm.registry import HOOKS

LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
SCORING = (BraTSMetric, SliceDiceMetric, SmallRegionThreshold)  # by the segmentations of cases
DRAWN_BY = dict(splits=None, seed=0, groups=None)  # settings that splits are drawn by, with their defaults


@HOOKS.register_module()
class DataCheckHook(Hook):
    """Compares the network with what the data sets say of their data.

    ``num_classes`` of each segmentation head, guides' included, must be enough for the ``classes`` of the
    data; of a model of regions the loss compares these. A module with a method ``check_data`` is given the
    data set's ``metainfo``. In training, no group of samples, such as a subject, may be in training and
    validation data, nor a row of one file or a brain tumour case, if the splits are named differently; and
    splits that are drawn by fractions must be drawn alike for all three loaders. Brain tumour cases that are
    scored must have segmentations, and their volumes be padded to what the encoders of a 2D U-Net can take.
    And no batch may be of one sample, where a batch norm follows a pool over the whole image. In a test,
    labels must make the same regions as in the data that the checkpoint says it is of.

    A loss of regions needs a segmentor that makes labels of them.

    Raises:
        ValueError: Before training, validation or test, if something does not fit. The message names the
            setting.
    """

    _learned: Mapping[str, Any] | None = None  # metainfo of the data that a loaded checkpoint is of

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Remember what a checkpoint says of the data that it learnt from."""
        meta = checkpoint.get('meta')
        known = meta.get('dataset_meta') if isinstance(meta, Mapping) else None
        self._learned = known if isinstance(known, Mapping) else None

    def before_train(self, runner: Runner) -> None:
        """Check the training data, and the groups in them."""
        self._learned = None  # what is tested then is what was trained
        self._check(runner, runner.train_dataloader, 'train_dataloader')
        _check_draws(runner.cfg)
        check_single_samples(runner.model, runner.train_dataloader)
        if runner.val_loop is not None:
            train, val = runner.train_dataloader.dataset, runner.val_dataloader.dataset
            for one, other in product(inner_datasets(train), inner_datasets(val)):
                _check_rows(one, other)
            _check_cases(train, val)
            _check_scored(val, runner.val_evaluator, 'val_dataloader')
            _check_padding(runner.model, val, 'val_dataloader')
            shared = _groups(train) & _groups(val)
            if shared:
                raise ValueError(
                    f'{len(shared)} groups are in the training and in the validation data, among them '
                    f"'{min(shared)}': validation would overrate the model. Correct `groups` or the splits "
                    'of `train_dataloader` and `val_dataloader`.'
                )

    def before_val(self, runner: Runner) -> None:
        """Check the validation data."""
        self._check(runner, runner.val_dataloader, 'val_dataloader')
        _check_scored(runner.val_dataloader.dataset, runner.val_evaluator, 'val_dataloader')

    def before_test(self, runner: Runner) -> None:
        """Check the test data."""
        self._check(runner, runner.test_dataloader, 'test_dataloader')
        _check_meanings(self._learned or {}, getattr(runner.test_dataloader.dataset, 'metainfo', {}))
        _check_scored(runner.test_dataloader.dataset, runner.test_evaluator, 'test_dataloader')

    def _check(self, runner: Runner, dataloader: DataLoader, key: str) -> None:
        metainfo = getattr(dataloader.dataset, 'metainfo', {})
        classes = metainfo.get('classes', ())
        modules = list(runner.model.named_modules())
        of_regions = any(getattr(module, 'region_map', None) is not None for _, module in modules)
        if of_regions and not any(isinstance(module, MultimodalSegmentor) for _, module in modules):
            raise ValueError(
                'The loss learns `regions`, which the model would take for labels: only MultimodalSegmentor '
                'and VolumeSegmentor turn regions into labels.'
            )
        for name, module in modules:
            if callable(check := getattr(module, 'check_data', None)):
                try:
                    check(metainfo)
                except ValueError as error:
                    raise ValueError(f'The data of `{key}` do not fit the model. {error}') from error
            if isinstance(module, BaseDecodeHead) and not of_regions and module.num_classes < len(classes):
                raise ValueError(
                    f'`num_classes` of {name} is {module.num_classes}, but the data of `{key}` have '
                    f'{len(classes)} classes: {", ".join(classes)}. Set `num_classes={len(classes)}` '
                    'in the config of the decode head and of the guide, and `class_weight`, if there '
                    'is one, to as many.'
                )


def _check_meanings(learned: Mapping[str, Any], tested: Mapping[str, Any]) -> None:
    """Raise a ValueError if labels make other regions in the tested data than in those of the checkpoint."""
    before, now = (_sorted_regions(data) for data in (learned, tested))
    if before and now and before != now:
        raise ValueError(
            f'The checkpoint has learnt {list(learned.get("classes", ()))} with the regions {before}, but '
            f'the data of `test_dataloader` have {list(tested.get("classes", ()))} with {now}: one number '
            'means two tissues. If they have the labels of the checkpoint after all, say so with `metainfo`, '
            'its `classes` and `regions`, in `test_dataloader.dataset`.'
        )


def _sorted_regions(metainfo: Mapping[str, Any]) -> dict[str, list[int]]:
    regions = metainfo.get('regions')
    if not isinstance(regions, Mapping):
        return {}
    return {region: sorted(labels) for region, labels in regions.items()}


def _groups(dataset: Any) -> set[str]:
    return {name for part in inner_datasets(dataset) for name in getattr(part, 'group_names', ())}


def _check_rows(train: Any, val: Any) -> None:
    """Raise a ValueError if two splits of the same files, which are called differently, share rows."""
    origins = [getattr(dataset, 'origin', None) for dataset in (train, val)]
    if None in origins or origins[0] != origins[1] or train.split == val.split:
        return
    shared = np.intersect1d(train.data_list, val.data_list)
    if len(shared):
        raise ValueError(
            f"{len(shared)} rows of {origins[0]} are in the splits '{train.split}' and '{val.split}', among "
            f'them {shared[:3].tolist()}: validation would overrate the model. Correct `splits`, or set '
            '`split` of both loaders to one name if that is meant.'
        )


def _check_cases(train: Any, val: Any) -> None:
    """Raise a ValueError if brain tumour cases train and validate in splits that are called differently."""
    for one, other in product(_brats(train), _brats(val)):
        shared = one.cases.keys() & other.cases.keys()
        if _origin(one)[0] == _origin(other)[0] and _origin(one) != _origin(other) and shared:
            raise ValueError(
                f'{len(shared)} cases of {one.data_root} are in the splits {list(one.splits)} of '
                f"`train_dataloader` and {list(other.splits)} of `val_dataloader`, such as '{min(shared)}': "
                'validation would overrate the model. Correct `split` of one, or set it alike in both if '
                'that is meant.'
            )


def _origin(dataset: BraTSDataset) -> tuple:
    """Return what tells which cases of a store are meant, those apart that have no segmentation."""
    splits_file = dataset.splits_file and os.path.realpath(dataset.splits_file)
    return os.path.realpath(dataset.data_root), splits_file, {*dataset.splits} - {UNLABELLED}


def _check_scored(dataset: Any, evaluator: Evaluator, key: str) -> None:
    """Raise a ValueError, before any case is predicted, if some are to be scored without a segmentation."""
    scored = any(isinstance(metric, SCORING) for metric in evaluator.metrics)
    for part in _brats(dataset) if scored else ():
        unlabelled = sorted(case for case, has_seg in part.cases.items() if not has_seg)
        if unlabelled:
            raise ValueError(
                f'{len(unlabelled)} cases of {part.data_root} have no segmentation, by which the evaluator '
                f"of `{key}` could score them, such as '{unlabelled[0]}': name other splits than "
                f"{list(part.splits)}, such as split=['train', 'val', 'test']. To segment them alone, use "
                '`mmcggm test --format-only --out DIR`.'
            )


def _check_padding(model: nn.Module, dataset: Any, key: str) -> None:
    """Raise a ValueError if volumes are not padded to what encoders of slices can take."""
    factors = {module.factor for module in model.modules() if isinstance(module, UNetEncoder)}
    steps = [step for part in _brats(dataset) for step in part.pipeline.transforms]
    for factor, step in product(factors, steps):
        if isinstance(step, LoadBraTSVolume) and step.size_divisor % factor:
            raise ValueError(
                f'`size_divisor` of LoadBraTSVolume in `{key}` is {step.size_divisor}, but the encoders '
                f'of the model need a multiple of {factor}: set `size_divisor={factor}`, also in '
                '`test_dataloader`.'
            )


def _brats(dataset: Any) -> Iterator[BraTSDataset]:
    """Yield the data sets of brain tumours in a data set that may be made of several."""
    if isinstance(dataset, BraTSDataset):
        yield dataset
    for part in (*getattr(dataset, 'datasets', ()), getattr(dataset, 'dataset', None)):
        if part is not None:
            yield from _brats(part)


def _check_draws(cfg: Mapping[str, Any]) -> None:
    """Raise a ValueError if loaders draw splits of the same samples by different settings."""
    datasets = {key: (cfg.get(key) or {}).get('dataset') or {} for key in LOADERS}
    drawn = {key: found for key, found in datasets.items() if isinstance(found.get('splits'), Mapping)}
    for (key, one), (other_key, other) in combinations(drawn.items(), 2):
        if any(one.get(name) != other.get(name) for name in ('data_root', 'labels')):
            continue
        for name, default in DRAWN_BY.items():
            values = one.get(name, default), other.get(name, default)
            if values[0] != values[1]:
                raise ValueError(
                    f'`{name}` is {values[0]!r} in `{key}.dataset`, but {values[1]!r} in '
                    f'`{other_key}.dataset`: each draws its own splits, so a sample could be in both. Set it '
                    'alike in all three.'
                )

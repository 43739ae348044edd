"""The config of trainings of which a fold is held out each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config

DEFAULT_SHARE = 0.1  # of the patients beside a fold, where something depends on a validation
CASES = 'cases.csv'  # in the folder of a fold: a row a case
LOADERS = dict(train='train_dataloader', val='val_dataloader', test='test_dataloader')


def store_of(cfg: Config) -> str:
    """Return the store that a config trains on and tests with.

    Raises:
        ValueError: If the config reads other data than a BraTS store, or two stores.
    """
    roots: dict[str, str] = {}
    for loader in LOADERS.values():
        parts = list(_named(cfg.get(loader), 'BraTSDataset'))
        if not parts and (cfg.get(loader) is not None or loader != LOADERS['val']):
            raise ValueError(
                f'Folds are made of a store of brain tumours, but `{loader}` in the config reads no '
                'BraTSDataset.'
            )
        roots |= {os.path.realpath(str(part.get('data_root'))): str(part.get('data_root')) for part in parts}
    if len(roots) > 1:
        raise ValueError(
            f'Folds are made of one store, but the data loaders of the config read {len(roots)}: '
            f'{", ".join(roots.values())}. Set one `data_root` for all.'
        )
    return next(iter(roots.values()))


def share_of_validation(cfg: Config, asked: float | None) -> float:
    """Return the share of patients that validate: what was asked for, else what the config needs.

    Raises:
        ValueError: If the config needs a validation that was declined, or has none that was asked for.
    """
    reason = _needs_validation(cfg)
    share = asked if asked is not None else DEFAULT_SHARE if reason else 0.0
    if not share and reason:
        raise ValueError(
            f'--val-share is 0, but {reason}, so somebody must validate: leave the flag out, or the setting.'
        )
    if share and cfg.get('val_dataloader') is None:
        raise ValueError(
            f'A share of {share} would validate, but the config has no `val_dataloader`: set it, or '
            '--val-share 0.'
        )
    return share


def _needs_validation(cfg: Config) -> str | None:
    """Return what in a config depends on a validation, or None."""
    if _saves_best(cfg):
        return '`default_hooks.checkpoint.save_best` asks which checkpoint is best'
    if any(_named([cfg.get('custom_hooks'), cfg.get('default_hooks')], 'EarlyStoppingHook')):
        return 'an EarlyStoppingHook waits for it'
    schedules = cfg.get('param_scheduler')
    if any('ReduceOnPlateau' in _type_of(part) for part in _dicts(schedules)):
        return '`param_scheduler` waits for a plateau'
    return None


def _saves_best(cfg: Config) -> bool:
    return bool(cfg.get('default_hooks', {}).get('checkpoint', {}).get('save_best'))


def tested_checkpoint(cfg: Config) -> str:
    """Return which checkpoint predicts: the best, if the config asks what that is, else the last."""
    return 'best' if _saves_best(cfg) else 'last'


def fold_config(cfg: Config, validates: bool, out_labels: str) -> Config:
    """Return the config that all folds share, without the paths of any.

    Args:
        cfg: The config.
        validates: Whether there is a validation.
        out_labels: Whose labels the segmentations get, see :class:`mmcggm.evaluation.NiftiWriter`.

    Raises:
        ValueError: If the config doesn't score with ``BraTSMetric``.
    """
    cfg = Config(cfg.to_dict())
    if not validates:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    for split, loader in LOADERS.items():
        for part in _named(cfg.get(loader), 'BraTSDataset'):
            part['split'] = split
    found = cfg.get('test_evaluator')
    evaluators = list(found) if isinstance(found, (list, tuple)) else [found]
    if len(list(_named(evaluators, 'BraTSMetric'))) != 1:
        raise ValueError('`test_evaluator` in the config must have one BraTSMetric, which scores the folds.')
    cfg.test_evaluator = [*evaluators, dict(type='mmcggm.NiftiWriter', label_convention=out_labels)]
    cfg.work_dir, cfg.resume = None, True
    return cfg


def place(cfg: Config, splits_file: Path, folder: Path, segmentations: Path) -> Config:
    """Return a config of :func:`fold_config` with the paths of a fold.

    Args:
        cfg: Of all folds.
        splits_file: What names the fold's cases of each split.
        folder: Of the fold, which gets the figures of its cases.
        segmentations: Folder of all folds' segmentations.
    """
    cfg = Config(cfg.to_dict())
    for loader in LOADERS.values():
        for part in _named(cfg.get(loader), 'BraTSDataset'):
            part['splits_file'] = str(splits_file)
    next(_named(cfg.test_evaluator, 'BraTSMetric'))['per_case_csv'] = str(folder / CASES)
    cfg.test_evaluator[-1]['out_dir'] = str(segmentations)
    return cfg


def tested_data_sets(cfg: Config) -> list[dict[str, Any]]:
    """Return the settings of the data sets that are tested."""
    return [dict(part) for part in _named(cfg.test_dataloader, 'BraTSDataset')]


def _named(value: Any, kind: str) -> Iterator[dict[str, Any]]:
    """Yield the settings of all components of a type, wherever they stand."""
    return (part for part in _dicts(value) if _type_of(part) == kind)


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from _dicts(part)


def _type_of(part: dict[str, Any]) -> str:
    """Return the name of a component's type, without the library's."""
    kind = part.get('type', '')
    return kind.rpartition('.')[2] if isinstance(kind, str) else getattr(kind, '__name__', '')

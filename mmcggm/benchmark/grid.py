"""What a benchmark's config asks for: a training for each setting, method and seed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config

NAME = re.compile(r'[\w.+= -]+')
CHECKPOINTS = ('best', 'last')


@dataclass(frozen=True, eq=False)
class Run:
    """One training.

    Attributes:
        setting: Name of the setting.
        method: Name of the method.
        seed: Of the training.
        cfg: The whole config, with the overrides of both and the seed.
        checkpoint: ``'best'`` or ``'last'``: which one is tested.
    """

    setting: str
    method: str
    seed: int
    cfg: Config
    checkpoint: str

    @property
    def folder(self) -> Path:
        """Where it belongs, below the benchmark's folder."""
        return Path(_folder(self.setting), _folder(self.method), f'seed_{self.seed}')

    @property
    def fingerprint(self) -> str:
        """Tells whether a result belongs to this config."""
        content = json.dumps([self.cfg.to_dict(), self.checkpoint], sort_keys=True, default=str)
        return hashlib.sha256(content.encode()).hexdigest()

    def __str__(self) -> str:
        return f'{self.setting}, {self.method}, seed {self.seed}'


class Benchmark:
    """Methods, each in every setting with every seed.

    Its config holds

    - ``methods``: by name ``dict(config=PATH)``, with ``overrides`` where the method is that config with
      changes, written as ``--cfg-options`` takes them: ``{'optim_wrapper.balancer.rho': 1.3}``;
    - ``settings``: by name, overrides for all methods;
    - ``seeds``: a list of integers;
    - ``baseline``: the method that others are compared with;
    - ``metrics``: of the test, to be shown, the one that decides first;
    - ``checkpoint``: ``'best'``, the one that the config's ``CheckpointHook`` found best on the
      validation split (``save_best``), or ``'last'``. It is tested once.

    Args:
        cfg: The config.
        overrides: For all runs, after those of settings and methods.
        root: Folder that relative paths of configs start from.

    Raises:
        FileNotFoundError: If a method's config is missing.
        ValueError: If the config is malformed; it names the key.
    """

    def __init__(
        self, cfg: Mapping[str, Any], overrides: Mapping[str, Any] | None = None, root: Path = Path()
    ) -> None:
        self._check(cfg)
        self.settings = tuple(cfg['settings'])
        self.methods = tuple(cfg['methods'])
        self.seeds = tuple(cfg['seeds'])
        self.baseline: str = cfg['baseline']
        self.metrics = tuple(cfg['metrics'])
        self.runs: list[Run] = []
        for seed in self.seeds:  # first, so that a benchmark that was stopped compares all methods
            for setting, setting_overrides in cfg['settings'].items():
                for method, entry in cfg['methods'].items():
                    run_cfg = Config.fromfile(_existing(root / entry['config'], method))
                    for part in (setting_overrides, entry.get('overrides', {}), overrides or {}):
                        run_cfg.merge_from_dict(dict(part))
                    run_cfg.merge_from_dict({'randomness.seed': seed})
                    if cfg['checkpoint'] == 'best':
                        _check_save_best(run_cfg, method)
                    self.runs.append(Run(setting, method, seed, run_cfg, cfg['checkpoint']))

    @staticmethod
    def _check(cfg: Mapping[str, Any]) -> None:
        missing = {'methods', 'settings', 'seeds', 'baseline', 'metrics', 'checkpoint'} - set(cfg)
        if missing:
            raise ValueError(f'The benchmark config lacks {sorted(missing)}.')
        for key in ('methods', 'settings', 'seeds', 'metrics'):
            if not cfg[key]:
                raise ValueError(f'`{key}` in the benchmark config is empty.')
        for key in ('methods', 'settings'):
            for name in cfg[key]:
                if not NAME.fullmatch(name) or name.strip('. ') != name:
                    raise ValueError(f'`{key}` has an entry {name!r}, which can not name a folder.')
            folders = [_folder(name) for name in cfg[key]]
            if len(set(folders)) < len(folders):
                raise ValueError(f'Two entries of `{key}` share a folder: {sorted(folders)}.')
        for method, entry in cfg['methods'].items():
            if 'config' not in entry or set(entry) - {'config', 'overrides'}:
                raise ValueError(
                    f"`methods['{method}']` must be dict(config=PATH), with `overrides` at will, got "
                    f'{dict(entry)}.'
                )
        _check_seeds(cfg['seeds'])
        if cfg['baseline'] not in cfg['methods']:
            raise ValueError(
                f"`baseline` is '{cfg['baseline']}', but `methods` are {sorted(cfg['methods'])}."
            )
        if cfg['checkpoint'] not in CHECKPOINTS:
            raise ValueError(f"`checkpoint` is '{cfg['checkpoint']}'; it must be one of {list(CHECKPOINTS)}.")


def _folder(name: str) -> str:
    return name.replace(' ', '_')


def _check_seeds(seeds: Sequence[int]) -> None:
    if not all(isinstance(seed, int) for seed in seeds) or len(set(seeds)) < len(seeds):
        raise ValueError(f'`seeds` must be different integers, got {list(seeds)}.')


def _existing(path: Path, method: str) -> Path:
    if not path.exists():
        raise FileNotFoundError(f"`methods['{method}'].config` is {path}, which does not exist.")
    return path


def _check_save_best(cfg: Config, method: str) -> None:
    if not cfg.get('default_hooks', {}).get('checkpoint', {}).get('save_best'):
        raise ValueError(
            f"`checkpoint` is 'best', but the config of '{method}' does not say what is best: set its "
            "`default_hooks.checkpoint.save_best`, or `checkpoint='last'` in the benchmark config."
        )

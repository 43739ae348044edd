"""What a benchmark's config asks for: trainings of each method in each setting, for search and for test."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmcggm.engine.settings import read_config
from mmcggm.utils.carried import find_config

from .candidates import candidates
from .checks import check, check_save_best, folder_name
from .data import DataFiles


@dataclass(frozen=True, eq=False)
class Run:
    """One training.

    Attributes:
        setting: Name of the setting.
        method: Name of the method.
        seed: Of the training.
        cfg: The whole config, with all overrides and the seed.
        checkpoint: ``'best'`` or ``'last'``: which one is tested.
        trial: Number of the candidate that it tries on the validation split, without a test; None in a
            run that is tested.
        after: By config key, the run whose folder belongs there.
        data: Digests of the data that it reads, see :class:`~mmcggm.benchmark.data.DataFiles`.
    """

    setting: str
    method: str
    seed: int
    cfg: Config
    checkpoint: str
    trial: int | None = None
    after: Mapping[str, Run] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where it belongs, below the benchmark's folder."""
        parts = [folder_name(self.setting), folder_name(self.method)]
        return Path(*parts, *([] if self.trial is None else [f'trial_{self.trial}']), f'seed_{self.seed}')

    @property
    def fingerprint(self) -> str:
        """Tells whether a result belongs to this config and these data."""
        before = {key: run.fingerprint for key, run in self.after.items()}
        checkpoint = self.checkpoint if self.trial is None else 'trial'
        parts = [self.cfg.to_dict(), checkpoint, before, self.data]
        content = json.dumps(parts, sort_keys=True, default=str)
        return hashlib.sha256(content.encode()).hexdigest()

    @property
    def tested(self) -> str | None:
        """Which checkpoint is tested; of a trial none."""
        return self.checkpoint if self.trial is None else None

    def placed(self, work_dir: Path) -> Config:
        """Return the config in which the folders of the runs before it stand."""
        cfg = Config(self.cfg.to_dict())
        cfg.merge_from_dict({key: str(work_dir / other.folder) for key, other in self.after.items()})
        return cfg

    def __str__(self) -> str:
        trial = '' if self.trial is None else f'trial {self.trial}, '
        return f'{self.setting}, {self.method}, {trial}seed {self.seed}'


class Benchmark:
    """Methods, each in every setting with every seed.

    Its config holds

    - ``methods``: by name ``dict(config=PATH)``, with ``overrides`` where the method is that config with
      changes, written as ``--cfg-options`` takes them: ``{'optim_wrapper.balancer.rho': 1.3}``. ``after``
      names, by config key, a method whose training of the same setting and seed must come first, such
      as that of a teacher; its folder is set there;
    - ``data``, at will: a name that stands for ``{data}`` in the paths, so that one list of methods serves
      several data sets;
    - ``settings``: by name, overrides for all methods;
    - ``seeds``: a list of integers. They are the trainings' ``randomness.seed``;
    - ``seeded``, at will: further keys that are set to the seed of a run, such as
      ``'train_dataloader.dataset.seed'`` of data that are split at random;
      A method takes those of ``seeds`` that its own ``seeds``, if it has any, also name;
    - ``baseline``: the method that others are compared with;
    - ``references``, at will: further methods that all are compared with;
    - ``ensembles``, at will: by name ``dict(methods=[NAMES])``, what trained runs reach together, see
      :func:`~mmcggm.benchmark.ensemble.ensemble_accuracies`;
    - ``metrics``: of the test, to be shown, the one that decides first; ``'validation'`` is the best value on
      the validation split;
    - ``checkpoint``: ``'best'``, the one that the config's ``CheckpointHook`` found best on the
      validation split (``save_best``), or ``'last'``. It is tested once;
    - ``search``, at will: ``dict(budget=N, seeds=[...], space={key: [values]})``. Each method tries up to
      ``N`` candidates of its config in each setting, the first as it is, the others drawn from the
      product of ``search['space']`` and the method's own ``space``, and is tested as the one that is best
      on the validation split, in the mean over ``search['seeds']``. None searches nothing, whatever
      ``space`` the methods have.

    Args:
        cfg: The config.
        overrides: For all runs, after those of settings and methods.
        root: Folder of the benchmark's config, in which paths of configs are looked for that are not in the
            current folder; after both come mmcggm's own, see :func:`~mmcggm.utils.carried.find_config`.
        only: Names of the methods to take, besides the baseline and those that they come after. Default:
            all.
        files: What tells the data of runs apart.

    Raises:
        FileNotFoundError: If a method's config is missing; it says where it was looked for.
        OSError: If data can't be read.
        ValueError: If the config is malformed; it names the key.
    """

    def __init__(
        self,
        cfg: Mapping[str, Any],
        overrides: Mapping[str, Any] | None = None,
        root: Path = Path(),
        only: Sequence[str] | None = None,
        files: DataFiles | None = None,
    ) -> None:
        check(cfg)
        methods = cfg['methods'] if only is None else _select(cfg, only)
        self.settings = tuple(cfg['settings'])
        self.methods = tuple(methods)
        self.seeds = tuple(cfg['seeds'])
        self._seeds = {
            name: tuple(seed for seed in self.seeds if seed in entry.get('seeds', self.seeds))
            for name, entry in methods.items()
        }
        self.references = tuple(name for name in cfg.get('references', ()) if name in methods)
        self.ensembles: dict[str, Mapping[str, Any]] = {
            name: entry
            for name, entry in cfg.get('ensembles', {}).items()
            if set(entry['methods']) <= set(methods)
        }
        self.baseline: str = cfg['baseline']
        self.metrics = tuple(cfg['metrics'])
        self._checkpoint: str = cfg['checkpoint']
        self._after = {method: dict(entry.get('after', {})) for method, entry in methods.items()}
        self._cfgs: dict[tuple[str, str], Config] = {}
        self.files = files or DataFiles()
        self.candidates: dict[tuple[str, str], list[dict[str, Any]]] = {}
        search = cfg.get('search')
        absent = set(cfg.get('references', ())) - set(self.references)
        absent |= set(cfg.get('ensembles', {})) - set(self.ensembles)
        if absent:  # inherited by a benchmark of fewer methods
            print(
                f'Left out, since not all of its methods are in this benchmark: {", ".join(sorted(absent))}.'
            )
        self._seeded = ('randomness.seed', *cfg.get('seeded', ()))
        self.search_seeds = tuple(search['seeds']) if search else ()
        for method, entry in methods.items():
            path = entry['config'].replace('{data}', cfg.get('data', '{data}'))
            file = _find(path, root, method)
            for setting, setting_overrides in cfg['settings'].items():
                run_cfg = read_config(file, setting_overrides, entry.get('overrides'), overrides)
                if search or self._checkpoint == 'best':
                    check_save_best(run_cfg, method)
                self._cfgs[setting, method] = run_cfg
                self.candidates[setting, method] = (
                    candidates(run_cfg, {**search['space'], **entry.get('space', {})}, search['budget'])
                    if search
                    else [{}]
                )

    @cached_property
    def trials(self) -> list[Run]:
        """Runs of the search: without one, none."""
        return [
            self._run(setting, method, seed, overrides, number)
            for seed in self.search_seeds
            for (setting, method), found in self.candidates.items()
            for number, overrides in enumerate(found)
        ]

    def finals(self, choice: Mapping[tuple[str, str], int] | None = None) -> list[Run]:
        """Return the runs that are tested, those of a seed together.

        Args:
            choice: By setting and method, the number of the candidate. Default: the first of each.
        """
        return [
            self._run(setting, method, seed, self.candidates[setting, method][number], None, choice)
            # Seeds first, so that a benchmark that was stopped compares all methods.
            for seed in self.seeds
            for setting in self.settings
            for method in self.methods
            if seed in self._seeds[method]
            for number in [0 if choice is None else choice[setting, method]]
        ]

    def _run(
        self,
        setting: str,
        method: str,
        seed: int,
        overrides: Mapping[str, Any],
        trial: int | None,
        choice: Mapping[tuple[str, str], int] | None = None,
    ) -> Run:
        cfg = Config(self._cfgs[setting, method].to_dict())
        cfg.merge_from_dict({**overrides, **dict.fromkeys(self._seeded, seed)})
        after = {}
        for key, other in self._after[method].items():
            number = 0 if choice is None else choice[setting, other]
            found = self.candidates[setting, other][number]
            after[key] = self._run(setting, other, seed, found, None if trial is None else 0, choice)
        return Run(setting, method, seed, cfg, self._checkpoint, trial, after, self.files.digests(cfg))


def _select(cfg: Mapping[str, Any], only: Sequence[str]) -> dict[str, Any]:
    """Return the entries of ``methods`` that are needed for those named."""
    unknown = sorted(set(only) - set(cfg['methods']))
    if unknown:
        raise ValueError(f'The benchmark config has no methods {unknown}; it has {list(cfg["methods"])}.')
    needed = {cfg['baseline'], *only}
    for name in only:
        needed |= set(cfg['methods'][name].get('after', {}).values())
    return {name: entry for name, entry in cfg['methods'].items() if name in needed}


def _find(path: str, root: Path, method: str) -> Path:
    try:
        return find_config(path, root)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"`methods['{method}'].config`: {error}") from None

"""What a benchmark's config may get wrong, as errors that name the key."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mmengine.config import Config

from mmcggm.engine.settings import read_by_runner

NAME = re.compile(r'[\w.+= -]+')
CHECKPOINTS = ('best', 'last')
ENSEMBLES = ('probabilities', 'logits')  # what an ensemble takes the mean of
# What a benchmark's config must have, each in its form.
REQUIRED = dict(
    methods="methods = {'joint': dict(config='configs/baseline/brca.py')}",
    baseline="baseline = 'joint'",
    settings="settings = {'as it is': {}}",
    seeds='seeds = [0, 1, 2]',
    metrics="metrics = ['accuracy']",
    checkpoint="checkpoint = 'best'",
)
KEYS = (
    *REQUIRED,
    'data',
    'ensembles',
    'references',
    'search',
    'seeded',
)  # what is read of a benchmark's config


def check(cfg: Mapping[str, Any]) -> None:
    """Check a benchmark's config.

    Raises:
        ValueError: If it is malformed; it names the key.
    """
    missing = sorted(set(REQUIRED) - set(cfg))
    if missing:
        forms = '; '.join(f'`{REQUIRED[key]}`' for key in missing)
        raise ValueError(f'The benchmark config lacks {missing}. Their form is {forms}.')
    for key in ('methods', 'settings', 'seeds', 'metrics'):
        if not cfg[key]:
            raise ValueError(f'`{key}` in the benchmark config is empty.')
    for key in ('methods', 'settings', 'ensembles'):
        for name in cfg.get(key, ()):
            if not NAME.fullmatch(name) or name.strip('. ') != name:
                raise ValueError(f'`{key}` has an entry {name!r}, which can not name a folder.')
        folders = [folder_name(name) for name in cfg.get(key, ())]
        if len(set(folders)) < len(folders):
            raise ValueError(f'Two entries of `{key}` share a folder: {sorted(folders)}.')
    for method, entry in cfg['methods'].items():
        if 'config' not in entry or set(entry) - {'config', 'overrides', 'space', 'after', 'seeds'}:
            raise ValueError(
                f"`methods['{method}']` must be dict(config=PATH), with `overrides`, `space`, `after` and "
                f'`seeds` at will, got {dict(entry)}.'
            )
        for other in entry.get('after', {}).values():
            if other not in cfg['methods'] or cfg['methods'][other].get('after'):
                raise ValueError(
                    f"`methods['{method}'].after` names '{other}', which must be "
                    'another method, without `after`.'
                )
            own, others = (set(e.get('seeds', cfg['seeds'])) for e in (entry, cfg['methods'][other]))
            if lacking := sorted(own.intersection(cfg['seeds']) - others):
                raise ValueError(
                    f"`methods['{method}']` has the seeds {lacking}, which '{other}' lacks, after which it "
                    'comes.'
                )
        _check_seeds(f"methods['{method}'].seeds", entry.get('seeds', ()))
        if 'seeds' in entry and not set(entry['seeds']) & set(cfg['seeds']):
            raise ValueError(
                f"`methods['{method}'].seeds` are {list(entry['seeds'])}, but none is among the `seeds`, "
                f'{list(cfg["seeds"])}.'
            )
    _check_seeds('seeds', cfg['seeds'])
    _check_ensembles(cfg)
    if cfg['baseline'] not in cfg['methods']:
        raise ValueError(f"`baseline` is '{cfg['baseline']}', but `methods` are {sorted(cfg['methods'])}.")
    for name in cfg.get('references', ()):
        if name == cfg['baseline']:
            raise ValueError(f"`references` names '{name}', which is the baseline.")
    if cfg['checkpoint'] not in CHECKPOINTS:
        raise ValueError(f"`checkpoint` is '{cfg['checkpoint']}'; it must be one of {list(CHECKPOINTS)}.")
    search = cfg.get('search')
    if search is not None:
        if set(search) != {'budget', 'seeds', 'space'} or search['budget'] < 1 or not search['seeds']:
            raise ValueError(
                '`search` must be dict(budget=N, seeds=[...], space={key: [values]}) with N >= 1 and a seed, '
                f'got {dict(search)}.'
            )
        _check_seeds('search.seeds', search['seeds'])
    elif 'search' not in cfg and any('space' in entry for entry in cfg['methods'].values()):
        raise ValueError(
            'A method has a `space`, but the benchmark config has no `search` (None: search nothing).'
        )


def _check_ensembles(cfg: Mapping[str, Any]) -> None:
    for name, entry in cfg.get('ensembles', {}).items():
        known = isinstance(entry, Mapping) and set(entry) <= {'methods', 'of'} and entry.get('methods')
        if not known or entry.get('of', ENSEMBLES[0]) not in ENSEMBLES:
            raise ValueError(
                f"`ensembles['{name}']` must be dict(methods=[NAMES]), at will with `of`, one of "
                f'{list(ENSEMBLES)}, got {entry!r}.'
            )
        if name in cfg['methods']:
            raise ValueError(f"`ensembles['{name}']` has the name of a method: give it another.")
        if cfg['metrics'][0] != 'accuracy':
            raise ValueError(
                "`ensembles` are compared by 'accuracy', but the first of `metrics` is "
                f'{cfg["metrics"][0]!r}.'
            )


def known_settings(cfg: Mapping[str, Any]) -> Iterable[str]:
    """Return the names that are read from a config's top level, be it a benchmark's or a training's."""
    return KEYS if set(cfg) >= set(REQUIRED) else read_by_runner(cfg)


def check_save_best(cfg: Config, method: str) -> None:
    """Raise a ValueError unless a method's config says what is best on the validation split."""
    if not cfg.get('default_hooks', {}).get('checkpoint', {}).get('save_best'):
        raise ValueError(
            f"The benchmark asks what is best, but the config of '{method}' does not say what that is: set "
            "its `default_hooks.checkpoint.save_best`, or `checkpoint='last'` and no `search` in the "
            "benchmark's config."
        )


def folder_name(name: str) -> str:
    """Return the folder of a method or setting."""
    return name.replace(' ', '_')


def _check_seeds(key: str, seeds: Sequence[int]) -> None:
    if not all(isinstance(seed, int) for seed in seeds) or len(set(seeds)) < len(seeds):
        raise ValueError(f'`{key}` must be different integers, got {list(seeds)}.')

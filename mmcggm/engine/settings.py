"""Configs, read so that no setting in them does nothing.

MMEngine builds what it knows and passes over the rest: a misspelt ``optim_wraper`` trains with the base's
optimizer, and ``data_root`` comes too late where a base file made its data sets from it. Here, each is an
error that names the setting.
"""

from __future__ import annotations

import ast
import inspect
import logging
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mmengine import load
from mmengine.config import Config
from mmengine.config.config import BASE_KEY
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from mmengine.utils import is_installed

from mmcggm.utils.carried import carried_config, find_config, inherited_name
from mmcggm.utils.spelling import did_you_mean

from .saved_config import HEADER

# As of MMEngine's own libraries: a config inherits `mmcggm::cggm/watch.py` of an installed wheel.
MODULE2PACKAGE.setdefault('mmcggm', 'mmcggm')
# Read by name, by MMEngine or the runner, beside its arguments; the last two by OpenMMLab's other tools.
RUNNER_KEYS = (
    'activation_checkpointing',
    'compile',
    'custom_imports',
    'efficient_conv_bn_eval',
    'find_unused_parameters',
    'model_wrapper_cfg',
    'runner_type',
    'strict_load',
    'sync_bn',
    'tta_model',
    'tta_pipeline',
)
# Dicts out of which MMEngine takes what it knows, without a look at the rest.
PICKED = {
    'env_cfg': ('cudnn_benchmark', 'dist_cfg', 'mp_cfg', 'resource_limit'),
    'env_cfg.mp_cfg': ('mp_start_method', 'opencv_num_threads'),
    'auto_scale_lr': ('base_batch_size', 'enable'),
}
OWN_SCOPES = ('mmcggm', 'mmengine')
MISSPELT = 0.85  # how alike, of 1, a name and a setting are that are taken for the same
BASE_REFERENCE = re.compile(r'\{\{\s*_base_\.(\w+)|\b_base_\.(\w+)')


class SettingError(ValueError):
    """A setting in a config or on the command line that nothing reads."""


def read_config(
    path: str | Path,
    *overrides: Mapping[str, Any] | None,
    known: Iterable[str] | Callable[[Mapping[str, Any]], Iterable[str]] | None = None,
) -> Config:
    """Read a config and apply overrides, one after another.

    A name at the top level of a config is a setting that is read by name, or a variable that the file itself
    (or one that inherits it) uses. Names that begin with an underscore are left alone. Of a config with the
    ``default_scope`` of another library, whose files are not the reader's to mend, the file itself is checked
    and not those that it inherits.

    Args:
        path: The file, in Python (text or pure Python style), YAML or JSON, or the name of one of mmcggm's,
            see :func:`~mmcggm.utils.carried.find_config`.
        *overrides: Each as of ``--cfg-options``, nested keys with dots.
        known: The settings that are read by name, or a function that returns them for a config. Default:
            those of the config's runner, :func:`read_by_runner`.

    Raises:
        FileNotFoundError: If there is no such file, or none that it inherits; it says by what name one of
            mmcggm's own is inherited from anywhere.
        SyntaxError: If a file is not in Python; it names the file and the line.
        SettingError: If nothing reads a setting, or an override changes a variable that was used before.
    """
    path = find_config(path)
    _find_packages()
    try:
        cfg = Config.fromfile(path)
    except (FileNotFoundError, SyntaxError):
        _check_bases(path)
        raise
    _drop_scope(cfg, cfg.get('default_scope'))
    if known is None or callable(known):
        given = {key: value for options in overrides for key, value in (options or {}).items()}
        known = (known or read_by_runner)({**cfg, **given})
    known = set(known)
    files = _Tree(path).files
    is_own = cfg.get('default_scope', OWN_SCOPES[0]) in OWN_SCOPES
    for number, file in enumerate(files if is_own else files[:1]):
        for name in sorted(file.assigned - file.used - known):
            bases = files[number + 1 :]
            # A base may have variables for those that inherit it, of which this config uses some; and what
            # is saved beside a training has those of which the settings were made.
            offered = (number > 0 or file.is_dump) and not any(name in base.assigned for base in bases)
            if not offered or _is_misspelt(name, known):
                raise SettingError(_explain(f'`{name}` in {file.path}', name, cfg, known, bases))
    for options in overrides:
        for key in options or {}:
            name = key.split('.')[0]
            if name not in known:
                raise SettingError(_explain(f"The option '{key}'", name, cfg, known, files))
            _check_indices(cfg, key)
        cfg.merge_from_dict(dict(options or {}))
    _check_picked(cfg)
    _check_hooks(cfg)
    _report_lost_hooks(cfg, files)
    return cfg


def _is_misspelt(name: str, known: set[str]) -> bool:
    """Return whether a name is nearly a setting. `test_pipeline`, of their words, is not `tta_pipeline`."""
    words = {word for setting in known for word in setting.split('_')}
    return not words.issuperset(name.split('_')) and bool(get_close_matches(name, known, cutoff=MISSPELT))


def _find_packages() -> None:
    """Let ``_base_ = 'mmseg::...'`` find packages that are installed under another name than OpenMMLab's own.

    As those of its maintained continuation are, which have the same import names.
    """
    for module, package in MODULE2PACKAGE.items():
        if not is_installed(package) and is_installed(module):
            MODULE2PACKAGE[module] = module


def _drop_scope(value: Any, scope: str | None) -> None:
    """Take away the scope of what is inherited as ``mmcggm::…`` where it is the default one.

    MMEngine hands it on to functions, such as a ``collate_fn``, which do not know it.
    """
    if isinstance(value, dict | Config):
        if value.get('_scope_') == scope:
            value.pop('_scope_', None)
        value = value.values()
    elif not isinstance(value, list | tuple):
        return
    for entry in value:
        _drop_scope(entry, scope)


def read_by_runner(cfg: Mapping[str, Any]) -> set[str]:
    """Return the names that the runner of ``cfg`` reads from a config's top level."""
    kind = cfg.get('runner_type', Runner)
    kind = RUNNERS.get(kind) if isinstance(kind, str) else kind
    names = {name for cls in {kind, Runner} for name in inspect.signature(cls.__init__).parameters}
    return (names - {'self', 'cfg'}) | set(RUNNER_KEYS)


def _check_indices(cfg: Config, key: str) -> None:
    """Raise a SettingError if an index in an option's key is of no list, or of a shorter one."""
    place: Any = cfg
    for part in key.split('.'):
        if part.isdigit() and (not isinstance(place, Sequence) or int(part) >= len(place)):
            what = f'a list of {len(place)}' if isinstance(place, Sequence) else 'no list'
            raise SettingError(f"The option '{key}' asks for entry {part} of what is {what} in the config.")
        if isinstance(place, Sequence):
            place = place[int(part)] if part.isdigit() else None
        else:
            place = place.get(part) if isinstance(place, Mapping | Config) else None


def _check_hooks(cfg: Config) -> None:
    """Raise a SettingError if a default hook has no type: its name is misspelt."""
    hooks = cfg.get('default_hooks') or {}
    for name, hook in hooks.items():
        if isinstance(hook, Mapping) and 'type' not in hook:
            others = set(hooks) - {name}
            raise SettingError(
                f'`default_hooks.{name}` has no `type`, so it is no hook.{did_you_mean(name, others)}'
            )


def _report_lost_hooks(cfg: Config, files: list[_File]) -> None:
    """Warn of hooks of an inherited config that this one's `custom_hooks` replaces, as it does any list."""
    here = {_hook_name(hook) for hook in cfg.get('custom_hooks') or ()}
    for base in files[1:] if 'custom_hooks' in files[0].assigned else ():
        if 'custom_hooks' not in base.assigned:
            continue
        theirs = [_hook_name(hook) for hook in Config.fromfile(base.path).get('custom_hooks') or ()]
        lost = [name for name in theirs if name not in here]
        if lost:
            print_log(
                f'`custom_hooks` in {files[0].path} replaces those of {base.path}, of which '
                f'{", ".join(lost)} will not run. Keep them by `custom_hooks = [*_base_.custom_hooks, ...]`. '
                '(A BalancingHook need not be there: what names a balancer has one.)',
                'current',
                logging.WARNING,
            )


def _hook_name(hook: Mapping[str, Any] | Hook) -> str:
    """Return the name of a hook's type, without the library's."""
    kind = hook.get('type') if isinstance(hook, Mapping) else type(hook)
    return kind.rpartition('.')[2] if isinstance(kind, str) else getattr(kind, '__name__', str(kind))


def _check_picked(cfg: Config) -> None:
    for key, names in PICKED.items():
        value: Any = cfg
        for part in key.split('.'):
            value = value.get(part) if isinstance(value, Mapping | Config) else None
        for name in value or ():
            if name not in names:
                raise SettingError(
                    f'Nothing reads `{key}.{name}`; `{key}` may hold {", ".join(names)}.'
                    f'{did_you_mean(name, names)}'
                )


def _explain(where: str, name: str, cfg: Config, known: set[str], others: list[_File]) -> str:
    """Return what is wrong with a name that nothing reads."""
    owners = [file for file in others if name in file.assigned and name in file.used]
    if not owners:
        return (
            f'{where} has no effect: nothing reads a setting `{name}`.{did_you_mean(name, known)} (What your '
            'own code reads from the config may begin with an underscore.)'
        )
    owner = owners[-1]
    leaves = list(_leaves(cfg, known))
    made = [key for key, _ in leaves if key.split('.')[-1] == name]
    if not made and owner.values.get(name):
        made = [key for key, value in leaves if value == owner.values[name]]
    instead = ', '.join(f'`{key}`' for key in made[:4]) or 'what was made of it'
    used = ' and '.join(str(file.path) for file in owners)
    return (
        f'{where} has no effect: {used} used `{name}` when it was read. Set {instead} instead; what else was '
        'made of it, such as the end of a schedule, stays as it is.'
    )


def _leaves(cfg: Config, known: set[str]) -> Iterator[tuple[str, Any]]:
    """Yield key, with dots, and value of all settings that are no dicts, and what lists of dicts hold."""

    def walk(key: str, value: Any) -> Iterator[tuple[str, Any]]:
        parts: Iterable[tuple[Any, Any]] = ()
        if isinstance(value, Mapping):
            parts = value.items()
        elif isinstance(value, list) and any(isinstance(entry, Mapping) for entry in value):
            yield key, value
            parts = enumerate(value)
        else:
            yield key, value
        for part, entry in parts:
            yield from walk(f'{key}.{part}' if key else str(part), entry)

    settings = cfg.to_dict()
    yield from walk('', {name: settings[name] for name in settings if name in known})


@dataclass
class _File:
    """The names in one file of a config.

    Attributes:
        path: The file.
        assigned: Names that it gives a value at its top level.
        used: Those that it, or a file that inherits it, uses.
        values: The values of those that are written out.
        is_dump: Whether it is the copy that is saved beside a training, by this package or by MMEngine, which
            writes all out, in order of the names.
    """

    path: Path
    assigned: set[str] = field(default_factory=set)
    used: set[str] = field(default_factory=set)
    values: dict[str, Any] = field(default_factory=dict)
    is_dump: bool = False


class _Tree:
    """The files of a config, that which inherits before those that it inherits from."""

    def __init__(self, path: Path) -> None:
        self.files: list[_File] = []
        self._add(path, inherited_uses=set())

    def _add(self, path: Path, inherited_uses: set[str]) -> None:
        file = _File(Path(os.path.relpath(path)), used=set(inherited_uses))
        self.files.append(file)
        text = path.read_text(encoding='utf-8')
        references = {name for pair in BASE_REFERENCE.findall(text) for name in pair if name}
        if path.suffix != '.py':
            file.assigned = {name for name in load(path) if not name.startswith('_')}
            bases = list(_inherited(path))
        else:
            tree = ast.parse(text)
            _collect(tree, file)
            file.is_dump = text.startswith(HEADER) or _is_dump(tree, file.used)
            lazy = Config._is_lazy_import(str(path))
            references |= file.used if lazy else set()
            bases = list(_imported(tree, path) if lazy else _inherited(path))
        for base in bases:
            if all(base.resolve() != known.path.resolve() for known in self.files):
                self._add(base, inherited_uses | references)


def _collect(tree: ast.Module, file: _File) -> None:
    """Find the names in a file in Python."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Store):
            file.used.add(node.id)
    for statement in tree.body:
        targets = (
            statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, 'target', None)]
        )
        for target in targets:
            for node in ast.walk(target) if target is not None else ():
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id[0] != '_':
                    file.assigned.add(node.id)
        if isinstance(statement, ast.Assign) and isinstance(targets[0], ast.Name):
            try:
                file.values[targets[0].id] = ast.literal_eval(statement.value)
            except ValueError:
                continue  # not written out


def _is_dump(tree: ast.Module, used: set[str]) -> bool:
    names = [ast.unparse(node.targets[0]) for node in tree.body if isinstance(node, ast.Assign)]
    written_out = len(names) == len(tree.body) and used <= {'dict', 'float'}
    return written_out and names == sorted(names) and BASE_KEY not in names


def _check_bases(path: Path) -> None:
    """Raise an error that names the file if ``path``, or what it inherits, has a fault that keeps it unread.

    Raises:
        FileNotFoundError: If a file that is inherited is not there.
        SyntaxError: If a file is not in Python.
    """
    if path.suffix == '.py':
        ast.parse(path.read_text(encoding='utf-8'), str(path))
    for base in Config._get_base_files(str(path)):
        if '::' in base:  # of an installed library
            scope, _, name = base.partition('::')
            if scope == 'mmcggm' and inherited_name(name) != base:
                raise FileNotFoundError(
                    f"'{path}' inherits '{base}', a name that MMEngine finds in a wheel alone. This is an "
                    f"editable installation: inherit '{inherited_name(name)}' instead."
                )
            continue
        file = Path(Config._get_cfg_path(base, str(path))[0])
        if not file.is_file():
            name = carried_config(file)
            hint = (
                f"mmcggm brings one of this name: inherit it from anywhere as '{inherited_name(name)}'."
                if name is not None
                else 'What mmcggm brings is inherited from anywhere in this way: '
                f"'{inherited_name('_base_/guided/features_classification.py')}'."
            )
            raise FileNotFoundError(f"'{path}' inherits '{base}', but there is no file '{file}'. {hint}")
        _check_bases(file)


def _inherited(path: Path) -> Iterator[Path]:
    for base in Config._get_base_files(str(path)):
        yield Path(Config._get_cfg_path(base, str(path))[0])


def _imported(tree: ast.Module, path: Path) -> Iterator[Path]:
    """Yield the files that a config in pure Python style imports under ``with read_base()``."""
    for block in tree.body:
        for node in block.body if isinstance(block, ast.With) else ():
            if not isinstance(node, ast.ImportFrom):
                continue
            if node.level:
                folder = path.parents[node.level - 1]
                parts = node.module.split('.') if node.module else [alias.name for alias in node.names]
                file = folder.joinpath(*parts).with_suffix('.py')
            else:
                spec = find_spec(node.module or '')
                file = Path(spec.origin) if spec and spec.origin else path
            if file.is_file():
                yield file

"""What to say where a component gets an argument that it does not take, or lacks one: which setting it is."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from .spelling import did_you_mean

WRONG_ARGUMENT = re.compile(r"\w+\(\) (?:got an unexpected keyword argument '(\w+)'|missing \d+ required)")
MISSPELT = 'A setting of the config is misspelt, missing, or not one of this class.'
PLACES = 3  # that are named, where a setting stands in several


def is_wrong_argument(error: BaseException) -> bool:
    """Say whether a registry gave a component arguments that it does not take."""
    if not (isinstance(error, TypeError) and WRONG_ARGUMENT.search(str(error))):
        return False
    return any('mmengine/registry/' in Path(file).as_posix() for file, _ in _calls(error))


def explain_wrong_argument(error: BaseException) -> str:
    """Return the message of an error for which :func:`is_wrong_argument` holds, and which settings it means.

    A setting is named with its place, if a function on the way to the error holds the config.
    """
    built = [names for _, names in _calls(error) if 'obj_cls' in names and isinstance(names.get('cfg'), dict)]
    if not built:
        return f'{error}. {MISSPELT}'
    component, cfg = built[-1]['obj_cls'], dict(built[-1]['cfg'])
    called = {_name(cfg.pop('type', None)), _name(component)}
    known, takes_others = _settings_of(component)
    strange = [key for key in cfg if key not in known and key != '_scope_']
    if takes_others:  # only the error tells what they are
        strange = [key for key in strange if key in WRONG_ARGUMENT.findall(str(error))]
    config = _config_on_the_way(error)
    if not strange:
        places = _places(config, called, cfg)
        return f'{error}. {MISSPELT}' + (f' It belongs to {_listed(places)}.' if places else '')
    said = f'{error}.'
    for key in strange:
        where = [f'{place}.{key}' for place in _places(config, called, [key])] or [key]
        said += f' {_name(component)} has no setting {_listed(where)}.'
        said += did_you_mean(key, known)
    return said


def _settings_of(component: Callable[..., Any]) -> tuple[set[str], bool]:
    """Return what a class or function can be given by name, and whether it takes any other name as well.

    A class that hands on what it does not know to the class that it inherits takes that one's, too.
    """
    inits = [vars(cls)['__init__'] for cls in getattr(component, '__mro__', ()) if '__init__' in vars(cls)]
    names: set[str] = set()
    for function in inits or [component]:
        parameters = inspect.signature(function).parameters.values()
        names |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if all(p.kind != p.VAR_KEYWORD for p in parameters):
            return names - {'self'}, False
    return names - {'self'}, True


def _calls(error: BaseException) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the file and the variables of each function on the way to an error."""
    step = error.__traceback__
    while step is not None:
        yield step.tb_frame.f_code.co_filename, step.tb_frame.f_locals
        step = step.tb_next


def _config_on_the_way(error: BaseException) -> dict[str, Any]:
    """Return the first config that a function on the way to an error holds; without one, nothing."""
    kind = sys.modules['mmengine.config'].Config
    found = (value for _, names in _calls(error) for value in names.values() if isinstance(value, kind))
    config = next(found, None)
    return {} if config is None else config.to_dict()


def _places(config: Mapping[str, Any], called: Collection[str], keys: Collection[str]) -> list[str]:
    """Return where a config has a dict of a type that is ``called`` so, with all ``keys``.

    If there is none, where it has one without a type, such as ``train_cfg``.
    """
    dicts = [(place, found) for place, found in _dicts(config) if place and set(keys) <= set(found)]
    typed = [place for place, found in dicts if _name(found.get('type')) in called]
    return typed or [place for place, found in dicts if 'type' not in found]


def _name(kind: Any) -> str:
    return str(getattr(kind, '__name__', kind)).rpartition('.')[2]


def _dicts(value: Any, place: str = '') -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each dict in a config with its place, nested keys with dots."""
    if isinstance(value, Mapping):
        yield place, value
    elif not isinstance(value, list | tuple):
        return
    for key, entry in value.items() if isinstance(value, Mapping) else enumerate(value):
        yield from _dicts(entry, f'{place}.{key}' if place else str(key))


def _listed(names: list[str]) -> str:
    more = f' and {len(names) - PLACES} more' if len(names) > PLACES else ''
    return ', '.join(f'`{name}`' for name in names[:PLACES]) + more

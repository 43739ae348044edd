"""The copy of its config that a training leaves in its ``work_dir``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from keyword import iskeyword
from pathlib import Path, PurePath
from typing import Any

from mmengine.config import Config
from yapf.yapflib.yapf_api import FormatCode

from mmcggm.utils.atomic import replacing

# By which it is known that nothing has to read each of its variables.
HEADER = '# A config with all that it inherits, written by mmcggm.'
STYLE = dict(based_on_style='pep8', column_limit=110, split_before_expression_after_opening_paren=True)


def save_config(cfg: Config, path: Path) -> None:
    """Write a config, with all that it inherits, so that a training can go on with the copy.

    MMEngine's ``Config.dump`` sorts all names. Modalities, and so parameters and what is drawn at random,
    would then be in another order than in the training. Files that are no Python are left to it.
    """
    if path.suffix != '.py':
        cfg.dump(path)
        return
    with replacing(path) as temporary:
        temporary.write_text(config_text(cfg), encoding='utf-8')


def config_text(cfg: Config) -> str:
    """Return a config as Python, with names in the order in which they were defined."""
    text = ''.join(f'{name} = {_code(value)}\n' for name, value in cfg.to_dict().items())
    return f'{HEADER}\n{FormatCode(text, style_config=STYLE)[0]}'


def _code(value: Any) -> str:
    """Return the Python of a config's value: numbers, text, paths, containers, and classes by their names."""
    if isinstance(value, Mapping):
        if all(isinstance(key, str) and key.isidentifier() and not iskeyword(key) for key in value):
            return f'dict({", ".join(f"{key}={_code(entry)}" for key, entry in value.items())})'
        return f'{{{", ".join(f"{_code(key)}: {_code(entry)}" for key, entry in value.items())}}}'
    if isinstance(value, list):
        return f'[{", ".join(map(_code, value))}]'
    if isinstance(value, tuple):
        return f'({", ".join(map(_code, value))}{"," * (len(value) == 1)})'
    if isinstance(value, float) and not math.isfinite(value):
        return f'float({str(value)!r})'
    if isinstance(value, PurePath):
        return repr(str(value))
    if isinstance(value, type):  # which MMEngine imports by its name
        return repr(f'{value.__module__}.{value.__qualname__}')
    return repr(value)

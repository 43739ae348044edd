"""Values that a module can not take, named in the error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor

from .nested import describe
from .sequences import is_padded

# What PyTorch says of a tensor that has other axes or channels than a layer takes.
OTHER_SHAPE = re.compile(
    r'shapes cannot be multiplied|expected (\d|input|weight|.*dimension)|have \d+ channels|normalized_shape',
    re.IGNORECASE,
)


@contextmanager
def naming_misfit(who: str, value: Any, sequences: str) -> Iterator[None]:
    """Turn what PyTorch says of a value that a module can not take into a ValueError that names both.

    Args:
        who: The module, such as ``"The encoder of 'audio', an MLP,"``.
        value: What it is given.
        sequences: What to do where this is a sequence.
    """
    try:
        yield
    except (TypeError, AttributeError, RuntimeError) as error:
        misfit = OTHER_SHAPE if isinstance(value, Tensor) else re.compile(r'\btuple\b|\blist\b|\bdict\b')
        if not misfit.search(str(error)):
            raise
        is_sequence = is_padded(value) or (isinstance(value, Tensor) and value.ndim == 3)
        advice = sequences if is_sequence else 'Its settings, such as `in_channels`, must fit what it gets.'
        kind = 'tokens and their padding, ' if is_padded(value) else ''
        raise ValueError(f'{who} can not take {kind}{describe(value)}: {error}. {advice}') from error

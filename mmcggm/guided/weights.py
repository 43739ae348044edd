"""Weights of a checkpoint into a model: all of them, or an error that says which don't fit."""

from __future__ import annotations

import logging
import re
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from typing import Any

from mmengine.logging import print_log
from torch import Tensor, nn

from mmcggm.utils.checkpoints import CheckpointError, weights_of

from .checkpoints import GUIDES, INNER, names_in_guided, without_inner
from .guided_model import GuidedModel

SHOWN = 4  # names of tensors in a message, of each kind
# How PyTorch tells that shapes differ.
SHAPES = re.compile(
    r'size mismatch for (\S+): copying a param with shape torch\.Size\((.*?)\) from checkpoint, '
    r'the shape in current model is torch\.Size\((.*?)\)\.'
)
WRAPPER = (r'^module\.', '')  # the prefix of a distributed model's
COMPILED = '_orig_mod.'  # in names of what torch.compile has wrapped


def weights_for(
    model: nn.Module, checkpoint: Mapping[str, Any], source: str, revise_keys: Collection = (WRAPPER,)
) -> OrderedDict[str, Tensor]:
    """Return a checkpoint's weights under the names that they have in ``model``.

    A guided model takes those of its inner model (:func:`strip_guides` writes such) and the inner model those
    of the guided one, without its guides.

    Args:
        model: Whose names count.
        checkpoint: What was read; the weights are its ``state_dict``, or all that it holds.
        source: Name of the file, for messages.
        revise_keys: Patterns in names, each with what takes its place; as in MMEngine.

    Raises:
        CheckpointError: If the checkpoint holds no weights.
    """
    state = weights_of(checkpoint, source)
    renamed = OrderedDict(state)
    if not any(COMPILED in name for name in model.state_dict()):
        revise_keys = ((re.escape(COMPILED), ''), *revise_keys)
    for pattern, replacement in revise_keys:
        renamed = OrderedDict((re.sub(pattern, replacement, name), value) for name, value in renamed.items())
    renamed._metadata = getattr(state, '_metadata', OrderedDict())  # type: ignore[attr-defined]
    if isinstance(model, GuidedModel):
        return names_in_guided(model, renamed)
    inner = without_inner(renamed)
    own = model.state_dict().keys()
    if len(own & inner.keys()) <= len(own & renamed.keys()):
        return renamed
    dropped = sorted({name.split('.')[0] for name in renamed if not name.startswith(INNER)})
    print_log(f"'{source}' is of a guided model; left out are its {' and '.join(dropped)}.", 'current')
    return inner


def load_weights(
    model: nn.Module,
    checkpoint: Mapping[str, Any],
    source: str,
    strict: bool = True,
    load: Callable = nn.Module.load_state_dict,
) -> None:
    """Give ``model`` the weights of a checkpoint, see :func:`weights_for`.

    Guides that the checkpoint has none of stay as they are, which the log says. After an error the model may
    have some of the weights.

    Args:
        model: What gets the weights.
        checkpoint: What was read.
        source: Name of the file, for messages.
        strict: Whether all must fit. If not, what does not is left out, which the log says.
        load: How they are loaded; as ``nn.Module.load_state_dict``.

    Raises:
        CheckpointError: If weights don't fit, by name or shape; even if ``strict`` is False, if none does.
    """
    state = weights_for(model, checkpoint, source)
    shapes: dict[str, str] = {}
    try:
        try:
            found = load(model, state, strict=False)
        except RuntimeError as error:
            shapes = {n: f'{n} ({a} instead of {b})' for n, a, b in SHAPES.findall(str(error))}
            if not shapes:
                raise
            for name in shapes:
                state.pop(name)
            found = load(model, state, strict=False)
    except RuntimeError as error:
        raise CheckpointError(f"'{source}' can't be loaded into the model: {error}") from error
    missing = [n for n in found.missing_keys if n not in shapes and not n.endswith('num_batches_tracked')]
    has_guides = any(name.startswith(GUIDES) for name in state)
    if isinstance(model, GuidedModel) and not has_guides and len(state) > len(found.unexpected_keys):
        missing = [name for name in missing if not name.startswith(GUIDES)]
        print_log(
            f"'{source}' has no guides: those of the model keep their initial values, and what they say "
            '(scores, balance) means nothing before they are trained. Predictions do not depend on them.',
            'current',
            logging.WARNING,
        )
    parts = []
    if missing:
        parts.append(f'{len(missing)} of the model are missing: {_names(missing)}.')
    if found.unexpected_keys:
        parts.append(
            f'{len(found.unexpected_keys)} are not in the model: {_names(list(found.unexpected_keys))}.'
        )
    if shapes:
        parts.append(f'{len(shapes)} have another shape: {_names(list(shapes.values()))}.')
    if not parts:
        return
    misfits = ' '.join(parts)
    if not strict and len(state) > len(found.unexpected_keys):
        print_log(f"'{source}' fits the model in part. Of the tensors, {misfits}", 'current', logging.WARNING)
        return
    raise CheckpointError(
        f"'{source}' does not fit the {type(model).__name__} of the config. Of the tensors, {misfits} Give "
        'the checkpoint the config of its training. To fine-tune from weights that fit in part, set '
        '`strict_load = False` in the config, beside `load_from`.'
    )


def _names(names: list[str]) -> str:
    more = f' and {len(names) - SHOWN} more' if len(names) > SHOWN else ''
    return ', '.join(names[:SHOWN]) + more

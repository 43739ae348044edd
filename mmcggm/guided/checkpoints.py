"""Checkpoints of guided models."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

INNER, GUIDES = 'model.', 'guides.'  # prefixes in the state_dict of a GuidedModel


def strip_guides(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return a checkpoint of the inner model from one of a :class:`GuidedModel`.

    Args:
        checkpoint: What MMEngine's runner saved.

    Returns:
        ``state_dict``, which loads into the plain model, and ``meta`` without the training's config.
        Optimizer, schedules and balancer are left out.

    Raises:
        ValueError: If the checkpoint has no guides.
    """
    state = checkpoint.get('state_dict')
    if not isinstance(state, dict) or not any(str(name).startswith(GUIDES) for name in state):
        raise ValueError('The checkpoint has no guides; it is not that of a GuidedModel.')
    meta = {name: value for name, value in checkpoint.get('meta', {}).items() if name != 'cfg'}
    return dict(meta=meta, state_dict=without_inner(state))


def with_inner(state: Mapping[str, Any]) -> OrderedDict[str, Any]:
    """Return an inner model's weights under their names in a guided model."""
    return _renamed(state, lambda name: INNER + name)


def names_in_guided(guided: nn.Module, state: OrderedDict[str, Any]) -> OrderedDict[str, Any]:
    """Return weights of a guided model as they are, and those of its inner model under their names in it."""
    own, inner = guided.state_dict().keys(), with_inner(state)
    return inner if len(own & inner.keys()) > len(own & state.keys()) else state


def without_inner(state: Mapping[str, Any]) -> OrderedDict[str, Any]:
    """Return the inner model's weights, under their names in it, out of a guided model's."""
    return _renamed(state, lambda name: name.removeprefix(INNER) if name.startswith(INNER) else None)


def _renamed(state: Mapping[str, Any], rename: Callable[[str], str | None]) -> OrderedDict[str, Any]:
    """Return what ``rename`` gives a name, also in the versions of modules, by which old weights are told."""
    found = OrderedDict((new, value) for name, value in state.items() if (new := rename(name)) is not None)
    versions = getattr(state, '_metadata', {})
    paths = {path: rename(f'{path}.' if path else '') for path in versions}
    metadata = {new.removesuffix('.'): versions[path] for path, new in paths.items() if new is not None}
    found._metadata = OrderedDict(metadata)  # type: ignore[attr-defined]
    return found

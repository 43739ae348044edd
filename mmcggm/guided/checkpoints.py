"""Checkpoints of guided models."""

from __future__ import annotations

from typing import Any

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
    state = checkpoint.get('state_dict', {})
    if not any(name.startswith(GUIDES) for name in state):
        raise ValueError('The checkpoint has no guides; it is not that of a GuidedModel.')
    meta = {name: value for name, value in checkpoint.get('meta', {}).items() if name != 'cfg'}
    inner = {name.removeprefix(INNER): value for name, value in state.items() if name.startswith(INNER)}
    return dict(meta=meta, state_dict=inner)

"""State that must not see an update which loss scaling will skip."""

from __future__ import annotations

from torch import Tensor


def committed(new: Tensor, old: Tensor | None, overflow: Tensor | None) -> Tensor:
    """Return ``new``, or ``old`` (zero if None) if the update overflowed; no tensor is read on the host.

    Args:
        new: What the update would commit.
        old: What the last one has committed, on any device.
        overflow: A scalar above zero in an update that will be skipped, or None.
    """
    if overflow is None:
        return new
    return new.where(~(overflow > 0), new.new_zeros(()) if old is None else old.to(new))


def in_effect(condition: Tensor, overflow: Tensor | None) -> Tensor:
    """Return ``condition``, bool, false if the update overflowed."""
    return condition if overflow is None else condition & ~(overflow > 0)

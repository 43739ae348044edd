"""Sequences of tokens, such as a sentence's words or a clip's frames, and their padding."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

# Tokens (N, L, C), alone or with where they are padding: bool (N, L), or None where none is.
Sequences = Tensor | tuple[Tensor, Tensor | None]


def split_padding(sequences: Sequences) -> tuple[Tensor, Tensor | None]:
    """Return tokens and their padding, None where there is none."""
    return (sequences, None) if isinstance(sequences, Tensor) else sequences


def padding_mask(lengths: Tensor, max_length: int) -> Tensor:
    """Return where sequences of ``lengths`` ``(N,)`` are padding: bool ``(N, max_length)``.

    The first token always counts, since attention to nothing is undefined.
    """
    return torch.arange(max_length, device=lengths.device) >= lengths.clamp(min=1).unsqueeze(1)


def without_padding(sequences: Sequences) -> tuple[Tensor, Tensor | None]:
    """Return tokens with zeros at padding, and their padding.

    What padding holds may be anything, and zero times "not a number" isn't zero.
    """
    tokens, padding = split_padding(sequences)
    return (tokens if padding is None else tokens.masked_fill(padding.unsqueeze(-1), 0)), padding


def unpacked(sequences: PackedSequence) -> tuple[Tensor, Tensor]:
    """Return tokens ``(N, L, C)`` and their padding, in the order of the batch."""
    tokens, lengths = pad_packed_sequence(sequences, batch_first=True)
    return tokens, padding_mask(lengths.to(tokens.device), tokens.shape[1])


def is_padded(representation: Any) -> bool:
    """Return whether ``representation`` is ``(tokens, padding)``."""
    if not (isinstance(representation, tuple) and len(representation) == 2):
        return False
    tokens, padding = representation
    return isinstance(tokens, Tensor) and (
        padding is None or (isinstance(padding, Tensor) and padding.dtype == torch.bool)
    )


def pool_tokens(sequences: Sequences, pool: str) -> Tensor:
    """Return ``(N, C)``: the ``'mean'``, ``'first'`` or ``'last'`` of the tokens that count."""
    tokens, padding = split_padding(sequences)
    if pool == 'first':
        return tokens[:, 0]
    if padding is None:
        return tokens[:, -1] if pool == 'last' else tokens.mean(dim=1)
    counts = (~padding).sum(dim=1, keepdim=True)
    if pool == 'last':
        return tokens.take_along_dim((counts - 1).unsqueeze(-1), dim=1).squeeze(1)
    return without_padding(sequences)[0].sum(dim=1) / counts

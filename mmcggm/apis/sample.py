"""The representations of a sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from mmcggm.guided.capture import captured
from mmcggm.guided.encoder_paths import ModalityEncoder
from mmcggm.guided.guided_pass import evaluating
from mmcggm.utils.generators import kept_generators


def arguments_of(sample: Any) -> tuple[tuple, dict[str, Any]]:
    """Return the arguments of ``forward`` that a sample means: by name, by position, or the only one."""
    if isinstance(sample, Mapping):
        return (), dict(sample)
    return (sample if isinstance(sample, tuple) else (sample,)), {}


@torch.no_grad()
def representations_of(model: nn.Module, encoders: Sequence[ModalityEncoder], sample: Any) -> dict[str, Any]:
    """Return the representations by modality of one forward pass, which leaves no trace in the model.

    It is in evaluation mode, so batch statistics stay, and generators of random numbers are as before.

    Args:
        model: The model.
        encoders: Where the representations appear.
        sample: Arguments of ``forward``: a dict by name, a tuple, or the only one.
    """
    args, kwargs = arguments_of(sample)
    with kept_generators(), evaluating(model), captured(model, encoders) as found:
        model(*args, **kwargs)
    return found

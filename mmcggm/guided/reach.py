"""Whether representations reach what a model predicts, as the graph of a pass shows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge

from .encoder_paths import ModalityEncoder

# A compiled function has one node for all that it returns, which does not show what depends on what.
OPAQUE = 'CompiledFunctionBackward'


def reaching(result: Tensor, tensors: Mapping[str, Sequence[Tensor]]) -> set[str]:
    """Return the names of which a tensor is among those that ``result`` was computed from.

    The graph is walked and nothing is computed, so that no statistics and no random numbers change.

    Args:
        result: With its graph.
        tensors: By name, tensors that require gradients.
    """
    names = defaultdict(set)
    for name, own in tensors.items():
        for tensor in own:
            node, index = _edge(tensor)
            names[node, None if _is_opaque(node) else index].add(name)
    waiting, seen = [_edge(result)], set()
    found: set[str] = set()
    while waiting and len(found) < len(tensors):
        node, index = waiting.pop()
        found |= names.get((node, None if _is_opaque(node) else index), set())
        if node is not None and node not in seen:
            seen.add(node)
            waiting += node.next_functions
    return found


def unreached_message(model: nn.Module, encoder: ModalityEncoder, changers: str | None = None) -> str:
    """Return what to say of an encoder whose representation does not reach what the model predicts.

    Args:
        model: The model.
        encoder: The encoder.
        changers: What is to change the representation on its way into fusion, if it is to be changed.
    """
    what = (
        'Its guide sees what the model does not use, and methods that change representations refuse it.'
        if changers is None
        else f'To change it on its way into fusion, as {changers} does, would change nothing.'
    )
    return (
        f"`encoders.{encoder.modality}`: the model's prediction does not depend on the {place_of(encoder)}. "
        f'{what} Pick by `key` what the model reads, or name as `representation` a module whose output it '
        f'reads.{state_hint(model, encoder)}'
    )


def place_of(encoder: ModalityEncoder) -> str:
    """Return where the representation of an encoder appears, such as ``"output of 'gru' at key=0"``."""
    steps = encoder.steps[0] if len(encoder.steps) == 1 else list(encoder.steps)
    key = f' at key={steps!r}' if encoder.steps else ''
    return f"{encoder.source} of '{encoder.representation}'{key}"


def state_hint(model: nn.Module, encoder: ModalityEncoder) -> str:
    """Return a sentence on what ``key`` picks of a recurrent network, ``''`` of any other encoder."""
    if encoder.source != 'output' or not isinstance(model.get_submodule(encoder.representation), nn.RNNBase):
        return ''
    return (
        f' In `encoders.{encoder.modality}`, key=0 are the outputs (N, L, C), key=[1, -1] is the last state '
        '(N, C) of a GRU, key=[1, 0, -1] that of an LSTM. Those of all layers, (layers, N, C), are no '
        'representation.'
    )


def _edge(tensor: Tensor) -> tuple[Any, int]:
    edge = get_gradient_edge(tensor)
    return edge.node, edge.output_nr


def _is_opaque(node: Any) -> bool:
    return type(node).__name__ == OPAQUE

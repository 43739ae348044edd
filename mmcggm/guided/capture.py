"""The representations that a model makes in a forward pass, read and changed through forward hooks."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, partial
from types import FrameType
from typing import Any

import torch
import torch.utils.checkpoint
from torch import Tensor, nn

from mmcggm.structures.nested import describe, map_part, map_tensors

from .encoder_paths import ModalityEncoder

Change = Callable[[Tensor], Tensor]
CHECKPOINTING = torch.utils.checkpoint.__file__


@contextmanager
def captured(
    model: nn.Module,
    encoders: Sequence[ModalityEncoder],
    changes: Mapping[str, Change] | None = None,
    entered: dict[str, list[Tensor]] | None = None,
) -> Iterator[dict[str, Any]]:
    """Collect the representations of one forward pass inside the context, by modality, with their graphs.

    Args:
        model: The model that is run in the context.
        encoders: Where the representations appear.
        changes: By modality, a function that is applied to each floating point tensor of the
            representation on its way into the rest of the model. What is collected is from before.
        entered: Is given, by modality, the model's own tensors that the representation is made of, likewise.

    Raises:
        RuntimeError: If a representation appears twice in the pass, unless its encoder takes the mean of its
            calls, or is changed in place after it appeared.
        KeyError: If a ``key`` names nothing.
        ValueError: If representations can't be averaged, or a representation that a function picks is to be
            changed.
    """
    found: dict[str, Any] = {}
    calls: dict[str, list[Any]] = {}
    versions: dict[str, list[list[int]]] = {}

    def keep(encoder: ModalityEncoder, value: Any) -> None:
        own = calls.setdefault(encoder.modality, [])
        if own and encoder.calls == 'once':
            raise RuntimeError(
                f"`encoders.{encoder.modality}`: '{encoder.representation}' was called more than once in a "
                'forward pass, so its representation is ambiguous. Name as `representation` a module that '
                "is called once, or set `calls='mean'`."
            )
        own.append(encoder.pick(value))
        if entered is not None:
            entered.setdefault(encoder.modality, []).extend(encoder.entering(value))
        versions.setdefault(encoder.modality, []).append(eager(_versions)(own[-1]))

    with _hooked(model, encoders, keep, changes or {}):
        yield found
    for encoder in encoders:
        own = calls.get(encoder.modality, [])
        if versions.get(encoder.modality, []) != [eager(_versions)(value) for value in own]:
            raise RuntimeError(
                f'`encoders.{encoder.modality}`: the {encoder.source} of '
                f"'{encoder.representation}' was changed in place after it appeared. Name as "
                '`representation` the module that changes it, or one before it.'
            )
        if own:
            found[encoder.modality] = own[0] if encoder.calls == 'once' else _mean(own, encoder)


@contextmanager
def changed(
    model: nn.Module, encoders: Sequence[ModalityEncoder], changes: Mapping[str, Change]
) -> Iterator[None]:
    """Change representations on their way into the rest of the model, as often as they appear in the context.

    Args:
        model: The model that is run in the context.
        encoders: Where the representations appear.
        changes: See :func:`captured`.

    Raises:
        ValueError: If a representation that a function picks is to be changed.
    """
    chosen = [encoder for encoder in encoders if encoder.modality in changes]
    with _hooked(model, chosen, lambda encoder, value: None, changes):
        yield


@contextmanager
def _hooked(
    model: nn.Module, encoders: Sequence[ModalityEncoder], keep: Callable, changes: Mapping[str, Change]
) -> Iterator[None]:
    handles = []
    for encoder in encoders:
        module, change = model.get_submodule(encoder.representation), changes.get(encoder.modality)
        if change is not None and callable(encoder.key):
            raise ValueError(
                f'`encoders.{encoder.modality}.key` is a function, so what it picks can not be changed on '
                'its way into fusion, which the method, `only` or `present` asks for: name entries, such as '
                '[1, -1] for the last state of a GRU.'
            )
        if encoder.source == 'output':
            handles.append(module.register_forward_hook(partial(eager(_read_output), encoder, keep, change)))
        else:
            hook = partial(eager(_read_input), encoder, keep, change)
            handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def eager(hook: Callable) -> Callable:
    """Return a function that a compiled model calls as it is, rather than compiling it anew in each pass."""
    # Whoever has compiled a model has loaded the compiler, which takes long.
    return _not_compiled(hook) if 'torch._dynamo' in sys.modules else hook


@cache
def _not_compiled(hook: Callable) -> Callable:
    return torch.compiler.disable(hook)


def _mean(values: Sequence[Any], encoder: ModalityEncoder) -> Tensor:
    shapes = {tuple(value.shape) if isinstance(value, Tensor) else describe(value) for value in values}
    if len(shapes) > 1 or not isinstance(values[0], Tensor):
        raise ValueError(
            f"`encoders.{encoder.modality}.calls` is 'mean', for tensors of one shape, but the calls made "
            f'{sorted(map(str, shapes))}: pick a tensor by `key`.'
        )
    return torch.stack(list(values)).mean(0)


def _read_output(
    encoder: ModalityEncoder,
    keep: Callable,
    change: Change | None,
    module: nn.Module,
    args: tuple,
    output: Any,
) -> Any:
    keep(encoder, output)
    _refuse_recomputation(encoder, module, change)
    return None if change is None else map_part(_on_floats(change), output, encoder.steps)


def _read_input(
    encoder: ModalityEncoder,
    keep: Callable,
    change: Change | None,
    module: nn.Module,
    args: tuple,
    kwargs: dict,
) -> tuple[tuple, dict] | None:
    # By position and by name, unless there is only one.
    arguments = {**dict(enumerate(args)), **kwargs}
    name = next(iter(arguments))
    keep(encoder, arguments[name] if len(arguments) == 1 else arguments)
    if change is None:
        return None
    _refuse_recomputation(encoder, module, change)
    key = (name, *encoder.steps) if len(arguments) == 1 else encoder.steps
    arguments = map_part(_on_floats(change), arguments, key)
    return tuple(arguments[i] for i in range(len(args))), {n: arguments[n] for n in kwargs}


def _refuse_recomputation(encoder: ModalityEncoder, module: nn.Module, change: Change | None) -> None:
    """Raise a RuntimeError if a representation is changed that backward makes anew, without the change.

    Reentrant checkpoints do so, whose first pass is without gradient. Others keep the graph of that pass.
    """
    if change is None or torch.is_grad_enabled() or not module.training:
        return
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_code.co_filename == CHECKPOINTING:
            raise RuntimeError(
                f"`encoders.{encoder.modality}`: '{encoder.representation}' runs inside of "
                'torch.utils.checkpoint with use_reentrant=True, which computes it again in backward, '
                'without what the method does to it on its way into fusion. Set use_reentrant=False, or '
                'checkpoint layers within the encoder.'
            )
        frame = frame.f_back


def _on_floats(change: Change) -> Change:
    return lambda tensor: change(tensor) if tensor.is_floating_point() else tensor


def _versions(value: Any) -> list[int]:
    """Return how often each tensor of ``value``, or one that shares its memory, was changed in place."""
    versions: list[int] = []

    def look(tensor: Tensor) -> Tensor:
        versions.append(0 if tensor.is_inference() else tensor._version)
        return tensor

    map_tensors(look, value)
    return versions

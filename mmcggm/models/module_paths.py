"""Modules of a model that is not ours, found by path, and the representations that they make."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, fields, is_dataclass
from difflib import get_close_matches
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True)
class ModalityEncoder:
    """Where a model has the encoder of a modality, and where its representation appears.

    Attributes:
        modality: Name of the modality.
        modules: Paths of the modules whose parameters are the encoder's.
        representation: Path of the module that the representation leaves or enters.
        source: ``'output'`` or ``'input'`` of that module.
        key: What to pick there, step by step: entries of dicts, tuples and lists, fields of dataclasses.
    """

    modality: str
    modules: tuple[str, ...]
    representation: str
    source: str = 'output'
    key: tuple[int | str, ...] = ()

    @classmethod
    def from_config(cls, modality: str, config: str | Sequence[str] | dict) -> ModalityEncoder:
        """Read an entry of ``encoders``: a path, a list of paths, or a dict, see ``GuidedModel``.

        Raises:
            ValueError: If the entry has no or unknown settings.
        """
        name = f'encoders.{modality}'
        config = dict(config) if isinstance(config, Mapping) else dict(modules=config)
        unknown = set(config) - {'modules', 'representation', 'source', 'key'}
        if unknown or not config.get('modules'):
            raise ValueError(
                f'`{name}` needs `modules` and takes `representation`, `source` and `key`, got {config}.'
            )
        modules, key = config['modules'], config.get('key')
        modules = (modules,) if isinstance(modules, str) else tuple(modules)
        source = config.get('source', 'output')
        if source not in ('output', 'input'):
            raise ValueError(f"`{name}.source` must be 'output' or 'input', got {source!r}.")
        return cls(
            modality=modality,
            modules=modules,
            representation=config.get('representation', modules[-1]),
            source=source,
            key=() if key is None else (key,) if isinstance(key, (int, str)) else tuple(key),
        )

    def check(self, model: nn.Module) -> None:
        """Raise a ValueError unless every path is a module of ``model``."""
        for path in self.modules:
            find_module(model, path, f'encoders.{self.modality}')
        find_module(model, self.representation, f'encoders.{self.modality}.representation')

    def parameters(self, model: nn.Module) -> list[nn.Parameter]:
        """Return the trainable parameters of the encoder, each once."""
        modules = [model.get_submodule(path) for path in self.modules]
        return list(dict.fromkeys(p for module in modules for p in module.parameters() if p.requires_grad))

    def last_module(self, model: nn.Module) -> nn.Module:
        """Return the module that makes the representation, as far as paths tell."""
        return model.get_submodule(self.representation if self.source == 'output' else self.modules[-1])

    def pick(self, value: Any) -> Any:
        """Return what ``key`` names in ``value``.

        Raises:
            KeyError: If there is nothing under it.
        """
        part = value
        for step in self.key:
            entries = _entries(part)
            if step not in entries:
                raise KeyError(
                    f'`encoders.{self.modality}.key`: nothing under {step!r}; the {self.source} of '
                    f"'{self.representation}' is {describe(value)}."
                )
            part = entries[step]
        return part


@contextmanager
def captured(model: nn.Module, encoders: Sequence[ModalityEncoder]) -> Iterator[dict[str, Any]]:
    """Collect the representations, detached, by modality, of one forward pass inside the context.

    Raises:
        RuntimeError: If a representation appears twice in the pass, or is changed in place after it
            appeared.
        KeyError: If a ``key`` names nothing.
    """
    found: dict[str, Any] = {}
    versions: dict[str, list[int]] = {}

    def keep(encoder: ModalityEncoder, value: Any) -> None:
        if encoder.modality in found:
            raise RuntimeError(
                f"`encoders.{encoder.modality}`: '{encoder.representation}' was called more than once in a "
                'forward pass, so its representation is ambiguous. Name as `representation` a module that '
                'is called once.'
            )
        found[encoder.modality] = map_tensors(Tensor.detach, encoder.pick(value))
        versions[encoder.modality] = _versions(found[encoder.modality])

    handles = []
    for encoder in encoders:
        module = model.get_submodule(encoder.representation)
        if encoder.source == 'output':
            handles.append(module.register_forward_hook(_output_hook(encoder, keep)))
        else:
            handles.append(module.register_forward_pre_hook(_input_hook(encoder, keep), with_kwargs=True))
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
    for encoder in encoders:
        if encoder.modality in found and versions[encoder.modality] != _versions(found[encoder.modality]):
            raise RuntimeError(
                f"`encoders.{encoder.modality}`: the {encoder.source} of '{encoder.representation}' was "
                'changed in place after it appeared. Name as `representation` the module that changes it, '
                'or one before it.'
            )


def find_module(model: nn.Module, path: str, setting: str) -> nn.Module:
    """Return the module of ``model`` at ``path``.

    Raises:
        ValueError: If there is none; it names ``setting`` and the closest paths.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    if not path or path not in modules:
        close = get_close_matches(path, filter(None, modules), n=3, cutoff=0.4)
        hint = f' Did you mean {" or ".join(repr(name) for name in close)}?' if close else ''
        raise ValueError(f"`{setting}`: {type(model).__name__} has no module '{path}'.{hint}")
    return modules[path]


def check_disjoint(model: nn.Module, encoders: Sequence[ModalityEncoder]) -> None:
    """Raise a ValueError if two encoders share a trainable parameter."""
    owners: dict[nn.Parameter, ModalityEncoder] = {}
    for encoder in encoders:
        for parameter in encoder.parameters(model):
            other = owners.setdefault(parameter, encoder)
            if other is not encoder:
                raise ValueError(
                    f"The encoders of '{other.modality}' ({', '.join(other.modules)}) and "
                    f"'{encoder.modality}' ({', '.join(encoder.modules)}) share parameters, and one "
                    "parameter can't be scaled for two modalities: give each an encoder of its own, or "
                    'name in `encoders` only the modules that each has for itself.'
                )


def check_head(model: nn.Module, path: str) -> None:
    """Raise a ValueError unless there is a layer with a trainable ``weight`` at ``path``."""
    head = find_module(model, path, 'head')
    weight = getattr(head, 'weight', None)
    if not isinstance(weight, nn.Parameter):
        layers = [
            repr(f'{path}.{name}') for name, module in head.named_modules() if hasattr(module, 'weight')
        ]
        hint = f' Did you mean {" or ".join(layers[-3:])}?' if layers else ''
        raise ValueError(
            f"`head`: '{path}' is a {type(head).__name__} without a parameter `weight`. Name the last layer "
            f'of the head.{hint}'
        )
    if not weight.requires_grad:
        raise ValueError(f"`head`: the weight of '{path}' is frozen; CGGM compares its gradient.")


def map_tensors(function: Callable[[Tensor], Tensor], value: Any) -> Any:
    """Return ``value`` with ``function`` applied to its tensors, in containers of the same types."""
    if isinstance(value, Tensor):
        return function(value)
    parts = {name: map_tensors(function, part) for name, part in _contents(value).items()}
    if isinstance(value, Mapping):  # also transformers' ModelOutput
        result = copy(value)
        for name, part in parts.items():
            result[name] = part
        return result
    if isinstance(value, (list, tuple)):
        return type(value)(**parts) if hasattr(value, '_fields') else type(value)(parts.values())
    if parts:
        result = copy(value)
        for name, part in parts.items():
            object.__setattr__(result, name, part)  # frozen dataclasses too
        return result
    return value


def describe(value: Any) -> str:
    """Return what ``value`` is in a line: tensors by shape, containers by what they hold."""
    kind = type(value).__name__
    if isinstance(value, Tensor):
        return f'{kind}{tuple(value.shape)}'
    contents = _contents(value)
    return f'{kind}({", ".join(f"{k!r}: {describe(v)}" for k, v in contents.items())})' if contents else kind


def _contents(value: Any) -> dict[Any, Any]:
    """Return what a container holds, by name or index."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (list, tuple)):
        return value._asdict() if hasattr(value, '_asdict') else dict(enumerate(value))
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    return {}


def _entries(value: Any) -> dict[Any, Any]:
    """Return what a step of a key can name in a container."""
    contents = _contents(value)
    # A ModelOutput is a mapping and a dataclass, and may be indexed like a tuple.
    if isinstance(value, (list, tuple)) or (isinstance(value, Mapping) and is_dataclass(value)):
        parts = list(contents.values())
        return {**{i: parts[i] for i in range(-len(parts), len(parts))}, **contents}
    return contents


def _versions(value: Any) -> list[int]:
    """Return how often each tensor of ``value``, or one that shares its memory, was changed in place."""
    versions: list[int] = []

    def look(tensor: Tensor) -> Tensor:
        versions.append(0 if tensor.is_inference() else tensor._version)
        return tensor

    map_tensors(look, value)
    return versions


def _output_hook(encoder: ModalityEncoder, keep: Callable[[ModalityEncoder, Any], None]) -> Callable:
    def hook(module: nn.Module, args: tuple, output: Any) -> None:
        keep(encoder, output)

    return hook


def _input_hook(encoder: ModalityEncoder, keep: Callable[[ModalityEncoder, Any], None]) -> Callable:
    def hook(module: nn.Module, args: tuple, kwargs: dict) -> None:
        # By position and by name, unless there is only one.
        arguments = {**dict(enumerate(args)), **kwargs}
        keep(encoder, next(iter(arguments.values())) if len(arguments) == 1 else arguments)

    return hook

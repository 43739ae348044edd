"""Modules of a model that is not ours, found by path."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from mmcggm.structures.nested import describe, entries, float_tensors
from mmcggm.structures.sequences import unpacked
from mmcggm.utils.spelling import close_to, did_you_mean, one_of

HEAD_LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)  # what guides can be made like


@dataclass(frozen=True)
class ModalityEncoder:
    """Where a model has the encoder of a modality, and where its representation appears.

    Attributes:
        modality: Name of the modality.
        modules: Paths of the modules whose parameters are the encoder's.
        representation: Path of the module that the representation leaves or enters.
        source: ``'output'`` or ``'input'`` of that module.
        key: What to pick there, step by step: entries of dicts, tuples and lists, fields of dataclasses, and
            from the second step on indices of a tensor's first axis; or a function of it.
        calls: ``'once'``: the module is called once in a pass; ``'mean'``: the representation is the mean of
            those of all its calls, such as one a frame.
    """

    modality: str
    modules: tuple[str, ...]
    representation: str
    source: str = 'output'
    key: tuple[int | str, ...] | Callable[[Any], Any] = ()
    calls: str = 'once'

    @classmethod
    def from_config(cls, modality: str, config: str | Sequence[str] | dict) -> ModalityEncoder:
        """Read an entry of ``encoders``: a path, a list of paths, or a dict, see ``GuidedModel``.

        Raises:
            ValueError: If the entry has no or unknown settings.
        """
        name = f'encoders.{modality}'
        config = dict(config) if isinstance(config, Mapping) else dict(modules=config)
        unknown = set(config) - {'modules', 'representation', 'source', 'key', 'calls'}
        if unknown or not config.get('modules'):
            raise ValueError(
                f'`{name}` needs `modules` and takes `representation`, `source`, '
                f'`key` and `calls`, got {config}.'
            )
        modules, key = config['modules'], config.get('key')
        modules = (modules,) if isinstance(modules, str) else tuple(modules)
        source = config.get('source', 'output')
        if source not in ('output', 'input'):
            raise ValueError(f"`{name}.source` must be 'output' or 'input', got {source!r}.")
        calls = config.get('calls', 'once')
        if calls not in ('once', 'mean'):
            raise ValueError(f"`{name}.calls` must be 'once' or 'mean', got {calls!r}.")
        if key is None:
            key = ()
        elif not callable(key):
            key = (key,) if isinstance(key, (int, str)) else tuple(key)
        return cls(
            modality=modality,
            modules=modules,
            representation=config.get('representation', modules[-1]),
            source=source,
            key=key,
            calls=calls,
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

    @property
    def steps(self) -> tuple[int | str, ...]:
        """What ``key`` names, step by step; none if it is a function."""
        return () if callable(self.key) else self.key

    def pick(self, value: Any) -> Any:
        """Return what ``key`` names in ``value``; of packed sequences the tokens and their padding.

        Raises:
            KeyError: If there is nothing under it.
        """
        part = self.key(value) if callable(self.key) else value
        for depth, step in enumerate(self.steps):
            # Not into the output itself, whose first axis are the samples.
            is_tensor = depth > 0 and isinstance(part, Tensor) and part.ndim > 0
            found: Any = range(-len(part), len(part)) if is_tensor else entries(part)
            if step not in found:
                raise KeyError(
                    f'`encoders.{self.modality}.key`: nothing under {step!r}; the {self.source} of '
                    f"'{self.representation}' is {describe(value)}."
                )
            part = part[step] if is_tensor else found[step]
        return unpacked(part) if isinstance(part, PackedSequence) else part

    def entering(self, value: Any) -> list[Tensor]:
        """Return the model's own tensors of which :meth:`pick` makes the representation.

        They are what the rest of the model reads: the whole tensor where ``key`` indexes one, the data of
        packed sequences, and nothing where ``key`` is a function.
        """
        if callable(self.key):
            return []
        for step in self.key:
            value = value if isinstance(value, Tensor) else entries(value)[step]
        return float_tensors(value)


def find_module(model: nn.Module, path: str, setting: str) -> nn.Module:
    """Return the module of ``model`` at ``path``.

    Raises:
        ValueError: If there is none; it names ``setting`` and the closest paths.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    if not path or path not in modules:
        hint = _hidden(model, path) or did_you_mean(path, filter(None, modules))
        raise ValueError(f"`{setting}`: {type(model).__name__} has no module '{path}'.{hint}")
    return modules[path]


def _hidden(model: nn.Module, path: str) -> str:
    """Return a sentence on modules in a plain list or dict, which no model trains; else ``''``."""
    name, kind = path.split('.')[0], None
    held = vars(model).get(name)
    if isinstance(held, (list, tuple)):
        kind = 'ModuleList'
    elif isinstance(held, dict):
        kind, held = 'ModuleDict', list(held.values())
    if kind is None or not any(isinstance(module, nn.Module) for module in held or ()):
        return ''
    return (
        f" Its attribute '{name}' is a plain container, whose modules PyTorch does not see, so that no "
        f'optimizer would train them: make it an nn.{kind}.'
    )


def check_disjoint(model: nn.Module, encoders: Sequence[ModalityEncoder]) -> None:
    """Raise a ValueError if two encoders share a trainable parameter, or the representation."""
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
    places: dict[Any, str] = {}
    for encoder in encoders:
        other_name = places.setdefault(
            (encoder.representation, encoder.source, encoder.key), encoder.modality
        )
        if other_name != encoder.modality:
            raise ValueError(
                f"The representations of '{other_name}' and '{encoder.modality}' are the same, the "
                f"{encoder.source} of '{encoder.representation}': name for each where its own appears."
            )


def check_head(model: nn.Module, path: str, encoders: Sequence[ModalityEncoder]) -> None:
    """Raise a ValueError unless there is a layer with a trainable ``weight`` at ``path``.

    It names the closest layers that may be the last of a head, and the last ones where none is close.
    """
    modules = dict(model.named_modules(remove_duplicate=False))
    if path not in modules:
        possible = _possible_heads(model, encoders)
        hint = one_of(close_to(path, possible) or possible[-3:])
        raise ValueError(f"`head`: {type(model).__name__} has no module '{path}'.{hint}")
    head = modules[path]
    weight = getattr(head, 'weight', None)  # a parameter, or computed from some, as by weight norm
    if not isinstance(weight, Tensor):
        possible = _possible_heads(model, encoders)
        inside = [name for name in possible if name.startswith(f'{path}.')]
        raise ValueError(
            f"`head`: '{path}' is a {type(head).__name__} without a parameter `weight`. Name the last layer "
            f'of the head.{one_of(dict.fromkeys(inside[-2:] + possible[-1:]))}'
        )
    if not weight.requires_grad:
        raise ValueError(f"`head`: the weight of '{path}' is frozen; CGGM compares its gradient.")


def _possible_heads(model: nn.Module, encoders: Sequence[ModalityEncoder]) -> list[str]:
    """Return the paths of the layers, outside of encoders, that may be the last of the model's head.

    They are linear or convolutions that nothing follows in an ``nn.Sequential``; all, if all are followed.
    """
    own = {parameter for encoder in encoders for parameter in encoder.parameters(model)}
    layers = [
        name
        for name, module in model.named_modules(remove_duplicate=False)
        if name and isinstance(module, HEAD_LAYERS) and own.isdisjoint(module.parameters())
    ]
    return [name for name in layers if not _is_followed(model, name)] or layers


def _is_followed(model: nn.Module, path: str) -> bool:
    """Return whether a module, or one that holds it, is not the last of an ``nn.Sequential``."""
    parts = path.split('.')
    parents = [model.get_submodule('.'.join(parts[:depth])) for depth in range(len(parts))]
    return any(
        isinstance(parent, nn.Sequential) and part != [name for name, _ in parent.named_children()][-1]
        for parent, part in zip(parents, parts, strict=True)
    )


def check_head_apart(model: nn.Module, path: str, encoders: Sequence[ModalityEncoder]) -> None:
    """Raise a ValueError if the head's last layer is part of an encoder."""
    own = {parameter for parameter in model.get_submodule(path).parameters() if parameter.requires_grad}
    for encoder in encoders:
        if own.intersection(encoder.parameters(model)):
            raise ValueError(
                f"`head`: '{path}' belongs to the encoder of '{encoder.modality}' "
                f'({", ".join(encoder.modules)}), so it is not the head of the fused model. Name the last '
                'layer after fusion, or a smaller encoder.'
            )

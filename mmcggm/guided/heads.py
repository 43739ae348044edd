"""The last layers of a model's heads, found by path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import nn
from torch.nn.utils import parametrize

from .encoder_paths import ModalityEncoder, check_head, check_head_apart


@dataclass(frozen=True)
class Heads:
    """Where a model has the last layer of its head, or those of its heads.

    Attributes:
        paths: By modality: the same path for all where one head sees the fused representation; different
            paths where each modality has a head and their logits are averaged; empty without a head.
    """

    paths: Mapping[str, str]

    @classmethod
    def from_config(cls, head: str | Mapping[str, str] | None, modalities: Sequence[str]) -> Heads:
        """Read the setting ``head``: a path, a dict of paths by modality, or None.

        Raises:
            ValueError: If a dict does not name a head for each modality.
        """
        if isinstance(head, Mapping):
            if set(head) != set(modalities):
                raise ValueError(
                    f'`head` must be one path, or name one for each of {list(modalities)}, got {dict(head)}.'
                )
            return cls({modality: head[modality] for modality in modalities})
        return cls({} if head is None else dict.fromkeys(modalities, head))

    @property
    def distinct(self) -> list[str]:
        """The paths, each once."""
        return list(dict.fromkeys(self.paths.values()))

    def check(self, model: nn.Module, encoders: Sequence[ModalityEncoder]) -> None:
        """Raise a ValueError unless each is a layer with a trainable ``weight``, outside of encoders."""
        for path in self.distinct:
            check_head(model, path, encoders)
            check_head_apart(model, path, encoders)

    def layers(self, model: nn.Module) -> list[nn.Module]:
        """Return the layer of each modality; of one head, the same for all."""
        return [model.get_submodule(path) for path in self.paths.values()]

    def compute_weights(self, model: nn.Module) -> bool:
        """Return whether a weight is computed from parameters when it is asked for, as by weight norm."""
        return any(parametrize.is_parametrized(layer, 'weight') for layer in self.layers(model))

"""A guide of a sequence."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from mmcggm.models.encoders.sequence import SequenceTransformer
from mmcggm.registry import MODELS
from mmcggm.structures.sequences import Sequences

from .guides import Guide


@MODELS.register_module()
class SequenceGuide(Guide):
    """The paper's guide: a transformer on one modality's tokens; its first token, through an MLP.

    Args:
        dim: Channels of the tokens.
        outputs: Channels of the prediction, those of the model's head.
        num_layers: Number of the transformer's layers.
        init_cfg: Initialisation.
        **transformer: Of :class:`SequenceTransformer`: heads, dropout, ``norm_first``.
    """

    def __init__(
        self,
        dim: int = 40,
        outputs: int = 1,
        num_layers: int = 2,
        init_cfg: dict | None = None,
        **transformer: Any,
    ) -> None:
        super().__init__(init_cfg)
        self.transformer = SequenceTransformer(dim, num_layers, **transformer)
        self.mlp = nn.Sequential(nn.Linear(dim, dim), nn.ReLU())
        self.out = nn.Linear(dim, outputs)

    @property
    def last_layer(self) -> nn.Module:
        return self.out

    def forward(self, representation: Sequences) -> Tensor:
        """Return a prediction ``(N, outputs)`` for tokens ``(N, L, dim)``, alone or with their padding."""
        return self.out(self.mlp(self.transformer(representation, first_only=True)[:, 0]))

"""Fusion of sequences by attention across modalities."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmcggm.registry import MODELS

from .encoders.sequence import Sequences, SequenceTransformer


@MODELS.register_module()
class TransformerFusion(BaseModule):
    """A transformer over the tokens of all modalities; its first token, through a residual MLP.

    Args:
        num_modalities: M; the tokens of any number of modalities are concatenated.
        dim: Channels of the tokens.
        num_layers: Number of the transformer's layers.
        out_dropout: Dropout rate inside the MLP.
        init_cfg: Initialisation.
        **transformer: Of :class:`SequenceTransformer`: heads, dropout, ``norm_first``.
    """

    def __init__(
        self,
        num_modalities: int,
        dim: int = 40,
        num_layers: int = 3,
        out_dropout: float = 0.1,
        init_cfg: dict | None = None,
        **transformer,
    ) -> None:
        super().__init__(init_cfg)
        self.transformer = SequenceTransformer(dim, num_layers, **transformer)
        self.mlp = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Dropout(out_dropout), nn.Linear(dim, dim))

    def forward(self, representations: Sequence[Sequences]) -> Tensor:
        """Return ``(N, dim)`` for ``M`` sequences ``(N, L_i, dim)`` with their padding."""
        tokens, paddings = zip(*representations, strict=True)
        padding = None
        if any(p is not None for p in paddings):
            padding = torch.cat(
                [
                    torch.zeros(t.shape[:2], dtype=torch.bool, device=t.device) if p is None else p
                    for t, p in zip(tokens, paddings, strict=True)
                ],
                dim=1,
            )
        first = self.transformer((torch.cat(tokens, dim=1), padding))[:, 0]
        return first + self.mlp(first)

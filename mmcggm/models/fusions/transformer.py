"""Fusion by attention among the tokens of all modalities."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmcggm.models.encoders.sequence import SequenceTransformer
from mmcggm.registry import MODELS

from .base import TokenFusion


@MODELS.register_module()
class TransformerFusion(TokenFusion):
    """A transformer over the tokens of all modalities; its first token, through a residual MLP.

    The fusion of CGGM's paper (Guo et al., NeurIPS 2024, arXiv 2411.01409).

    Args:
        num_modalities: M; the tokens of any number of modalities are concatenated.
        in_channels: See :class:`Fusion`.
        dim: Channels of the tokens and of the result.
        num_layers: Number of the transformer's layers.
        out_dropout: Dropout rate inside the MLP.
        init_cfg: Initialisation.
        **transformer: Of :class:`SequenceTransformer`: heads, dropout, ``norm_first``.
    """

    def __init__(
        self,
        num_modalities: int,
        in_channels: int | Sequence[int] | None = None,
        dim: int = 40,
        num_layers: int = 3,
        out_dropout: float = 0.1,
        init_cfg: dict | None = None,
        **transformer,
    ) -> None:
        super().__init__(num_modalities, in_channels, dim, init_cfg)
        self.transformer = SequenceTransformer(dim, num_layers, **transformer)
        self.mlp = nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Dropout(out_dropout), nn.Linear(dim, dim))

    def fuse(self, sequences: list[tuple[Tensor, Tensor | None]]) -> Tensor:
        tokens, paddings = zip(*sequences, strict=True)
        padding = None
        if any(p is not None for p in paddings):
            padding = torch.cat(
                [
                    torch.zeros(t.shape[:2], dtype=torch.bool, device=t.device) if p is None else p
                    for t, p in sequences
                ],
                dim=1,
            )
        first = self.transformer((torch.cat(tokens, dim=1), padding), first_only=True)[:, 0]
        return first + self.mlp(first)

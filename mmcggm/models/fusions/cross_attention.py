"""Fusion by attention from each modality to each other."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmcggm.models.encoders.sequence import SequenceTransformer
from mmcggm.registry import MODELS
from mmcggm.structures.sequences import pool_tokens

from .base import TokenFusion, check_pool


@MODELS.register_module()
class CrossAttentionFusion(TokenFusion):
    """The multimodal transformer MulT (Tsai et al., ACL 2019, arXiv 1906.00295).

    For each modality, a transformer to each other modality, whose results are concatenated by channel
    and go through a transformer of their own; one vector of each, through a residual MLP and a linear
    layer. There are ``M (M - 1)`` transformers of the first kind. The paper takes the last token, which
    may be padding; here it is the first, or the mean of those that count.

    Args:
        num_modalities: M, at least 2.
        in_channels: See :class:`Fusion`.
        dim: Channels of the tokens and of the result.
        num_layers: Number of layers from one modality to another.
        num_self_layers: Number of layers of each modality's own transformer, ``(M - 1) * dim`` wide.
        pool: What is taken from a sequence: the ``'mean'`` of the tokens that count, or the ``'first'``.
        out_dropout: Dropout rate inside the MLP.
        init_cfg: Initialisation.
        **transformer: Of :class:`SequenceTransformer`: heads, dropout, ``norm_first``.

    Raises:
        ValueError: If there are fewer than two modalities or ``pool`` is unknown.
    """

    def __init__(
        self,
        num_modalities: int,
        in_channels: int | Sequence[int] | None = None,
        dim: int = 40,
        num_layers: int = 4,
        num_self_layers: int = 3,
        pool: str = 'mean',
        out_dropout: float = 0.0,
        init_cfg: dict | None = None,
        **transformer,
    ) -> None:
        super().__init__(num_modalities, in_channels, dim, init_cfg)
        if num_modalities < 2:
            raise ValueError(f'CrossAttentionFusion needs at least two modalities, got {num_modalities}.')
        self.pool = check_pool(pool)
        width = (num_modalities - 1) * dim
        total = num_modalities * width
        self.to_others = nn.ModuleList(
            nn.ModuleList(
                SequenceTransformer(dim, num_layers, **transformer) for _ in range(num_modalities - 1)
            )
            for _ in range(num_modalities)
        )
        self.to_itself = nn.ModuleList(
            SequenceTransformer(width, num_self_layers, **transformer) for _ in range(num_modalities)
        )
        self.mlp = nn.Sequential(
            nn.Linear(total, total), nn.ReLU(), nn.Dropout(out_dropout), nn.Linear(total, total)
        )
        self.out = nn.Linear(total, dim)

    def fuse(self, sequences: list[tuple[Tensor, Tensor | None]]) -> Tensor:
        vectors = []
        for index, (target, to_others) in enumerate(zip(sequences, self.to_others, strict=True)):
            others = sequences[:index] + sequences[index + 1 :]
            seen = torch.cat([f(target, other) for f, other in zip(to_others, others, strict=True)], dim=2)
            padding = target[1]
            tokens = self.to_itself[index]((seen, padding), first_only=self.pool == 'first')
            vectors.append(pool_tokens((tokens, padding), self.pool))
        x = torch.cat(vectors, dim=1)
        return self.out(x + self.mlp(x))

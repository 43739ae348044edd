"""Transformer encoders of sequences, such as a sentence's words or a clip's frames."""

from __future__ import annotations

import math

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmcggm.registry import MODELS

# Tokens (N, L, C) and where they are padding, bool (N, L), or None where none is.
Sequences = tuple[Tensor, Tensor | None]


def padding_mask(lengths: Tensor, max_length: int) -> Tensor:
    """Return where sequences of ``lengths`` ``(N,)`` are padding: bool ``(N, max_length)``.

    The first token always counts, since attention to nothing is undefined.
    """
    return torch.arange(max_length, device=lengths.device) >= lengths.clamp(min=1).unsqueeze(1)


def sinusoidal_positions(positions: Tensor, dim: int) -> Tensor:
    """Return sines and cosines ``(..., dim)`` of ``positions`` ``(...)`` at ``dim / 2`` frequencies."""
    half = (dim + 1) // 2
    frequencies = 10000 ** (-torch.arange(half, device=positions.device) / half)
    angles = positions.unsqueeze(-1) * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=-1)[..., :dim]


@MODELS.register_module()
class SequenceTransformer(BaseModule):
    """A transformer encoder with sinusoidal positions (Vaswani et al., NeurIPS 2017, arXiv 1706.03762).

    Tokens are scaled by ``sqrt(dim)`` before positions are added. A position is the number of tokens
    before, without padding, so the amount of padding does not matter.

    Args:
        dim: Channels of the tokens, divisible by ``num_heads``. The feed-forward layers have four times
            as many.
        num_layers: Number of layers.
        num_heads: Number of attention heads.
        attention_dropout: Dropout rate of the attention weights.
        relu_dropout: Dropout rate inside the feed-forward layers.
        embed_dropout: Dropout rate of the input with its positions.
        residual_dropout: Dropout rate of what each sublayer adds.
        norm_first: Whether layers normalise their input, with one more normalisation at the end; else
            their output, as the original transformer does.
        init_cfg: Initialisation.
    """

    def __init__(
        self,
        dim: int,
        num_layers: int,
        num_heads: int = 5,
        attention_dropout: float = 0.0,
        relu_dropout: float = 0.0,
        embed_dropout: float = 0.0,
        residual_dropout: float = 0.0,
        norm_first: bool = True,
        init_cfg: dict | None = dict(type='Xavier', layer='Linear', distribution='uniform'),
    ) -> None:
        super().__init__(init_cfg)
        if dim % num_heads:
            raise ValueError(f'`dim` must be divisible by `num_heads`, got {dim} and {num_heads}.')
        self.dim = dim
        self.dropout = nn.Dropout(embed_dropout)
        # Not nn.TransformerEncoder: it starts every layer with the same weights.
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                dim, num_heads, 4 * dim, residual_dropout, batch_first=True, norm_first=norm_first
            )
            for _ in range(num_layers)
        )
        for layer in self.layers:
            layer.self_attn.dropout = attention_dropout
            layer.dropout.p = relu_dropout
        self.norm = nn.LayerNorm(dim) if norm_first else nn.Identity()

    def forward(self, sequences: Sequences) -> Tensor:
        """Return tokens ``(N, L, dim)`` for tokens ``(N, L, dim)`` and their padding.

        What comes out at padding means nothing.
        """
        tokens, padding = sequences
        if padding is None:
            positions = torch.arange(tokens.shape[1], device=tokens.device)
        else:
            positions = (~padding).cumsum(dim=1) - 1
        x = math.sqrt(self.dim) * tokens
        x = self.dropout(x + sinusoidal_positions(positions, self.dim).to(x))
        for layer in self.layers:
            x = layer(x, src_key_padding_mask=padding)
        return self.norm(x)


@MODELS.register_module()
class SequenceEncoder(BaseModule):
    """A linear projection of each token (a convolution of width 1), then a transformer.

    Args:
        in_channels: Channels of the input.
        dim: Channels of the representation.
        num_layers: Number of the transformer's layers.
        init_cfg: Initialisation.
        **transformer: Of :class:`SequenceTransformer`: heads, dropout, ``norm_first``.
    """

    def __init__(
        self,
        in_channels: int,
        dim: int = 40,
        num_layers: int = 5,
        init_cfg: dict | None = None,
        **transformer,
    ) -> None:
        super().__init__(init_cfg)
        self.projection = nn.Linear(in_channels, dim)
        self.transformer = SequenceTransformer(dim, num_layers, **transformer)

    def forward(self, sequences: Sequences) -> Sequences:
        """Return tokens ``(N, L, dim)`` for ``(N, L, in_channels)``, with the same padding.

        What the input holds at padding, even if it is not a number, changes no other token.
        """
        tokens, padding = sequences
        if padding is not None:
            tokens = tokens.masked_fill(padding.unsqueeze(-1), 0)
        return self.transformer((self.projection(tokens), padding)), padding

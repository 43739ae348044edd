"""Transformer encoders of sequences."""

from __future__ import annotations

import math

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmcggm.registry import MODELS
from mmcggm.structures.sequences import Sequences, split_padding, without_padding


def sinusoidal_positions(positions: Tensor, dim: int) -> Tensor:
    """Return sines and cosines ``(..., dim)`` of ``positions`` ``(...)`` at ``dim / 2`` frequencies."""
    half = (dim + 1) // 2
    frequencies = 10000 ** (-torch.arange(half, device=positions.device) / half)
    angles = positions.unsqueeze(-1) * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=-1)[..., :dim]


def add_positions(sequences: Sequences) -> Tensor:
    """Return tokens ``(N, L, C)``, scaled by ``sqrt(C)``, plus their sinusoidal positions.

    A position is the number of tokens before, without padding, so the amount of padding does not matter.
    """
    tokens, padding = split_padding(sequences)
    length, dim = tokens.shape[1:]
    table = sinusoidal_positions(torch.arange(length, device=tokens.device), dim).to(tokens.dtype)
    if padding is not None:
        table = table[(~padding).cumsum(dim=1) - 1]
    return torch.add(table, tokens, alpha=math.sqrt(dim))


class TransformerLayer(nn.Module):
    """A layer of a :class:`SequenceTransformer`: attention, then a feed-forward network, both residual.

    What attends and what is attended to may differ, unlike in ``nn.TransformerEncoderLayer``.

    Args:
        dim: Channels of the tokens, divisible by ``num_heads``.
        num_heads: Number of attention heads.
        attention_dropout: Dropout rate of the attention weights.
        relu_dropout: Dropout rate inside the feed-forward network.
        residual_dropout: Dropout rate of what each sublayer adds.
        norm_first: Whether inputs of the sublayers are normalised, else outputs.

    Raises:
        ValueError: If ``dim`` is not divisible by ``num_heads``.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        attention_dropout: float,
        relu_dropout: float,
        residual_dropout: float,
        norm_first: bool,
    ) -> None:
        super().__init__()
        if dim % num_heads:
            raise ValueError(f'`dim` must be divisible by `num_heads`, got {dim} and {num_heads}.')
        self.norm_first = norm_first
        self.attention = nn.MultiheadAttention(dim, num_heads, attention_dropout, batch_first=True)
        self.feed_forward = nn.Sequential(
            nn.Linear(dim, 4 * dim), nn.ReLU(), nn.Dropout(relu_dropout), nn.Linear(4 * dim, dim)
        )
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.dropout = nn.Dropout(residual_dropout)

    def forward(self, tokens: Tensor, source: Tensor, padding: Tensor | None) -> Tensor:
        """Return tokens ``(N, L, dim)`` that attended to ``source``, which may be the tokens themselves.

        Args:
            tokens: ``(N, L, dim)``.
            source: ``(N, K, dim)``.
            padding: Where ``source`` is padding, bool ``(N, K)``.
        """
        if self.norm_first:
            normed = self.norm1(tokens)
            tokens = tokens + self._attend(
                normed, normed if source is tokens else self.norm1(source), padding
            )
            return tokens + self.dropout(self.feed_forward(self.norm2(tokens)))
        tokens = self.norm1(tokens + self._attend(tokens, source, padding))
        return self.norm2(tokens + self.dropout(self.feed_forward(tokens)))

    def _attend(self, tokens: Tensor, source: Tensor, padding: Tensor | None) -> Tensor:
        # On a CPU PyTorch's fused attention has no dropout; its substitute looks for rows without a token.
        explicit = self.training and padding is None and tokens.device.type == 'cpu'
        seen, _ = self.attention(
            tokens,
            source,
            source,
            key_padding_mask=padding,
            need_weights=explicit,
            average_attn_weights=False,
        )
        return self.dropout(seen)


@MODELS.register_module()
class SequenceTransformer(BaseModule):
    """A transformer encoder with sinusoidal positions (Vaswani et al., NeurIPS 2017, arXiv 1706.03762).

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

    Raises:
        ValueError: If ``dim`` is not divisible by ``num_heads``.
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
        self.dropout = nn.Dropout(embed_dropout)
        rates = (attention_dropout, relu_dropout, residual_dropout)
        self.layers = nn.ModuleList(
            TransformerLayer(dim, num_heads, *rates, norm_first) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(dim) if norm_first else nn.Identity()

    def forward(
        self, sequences: Sequences, source: Sequences | None = None, first_only: bool = False
    ) -> Tensor:
        """Return tokens ``(N, L, dim)``; what comes out at padding means nothing.

        Args:
            sequences: Tokens ``(N, L, dim)``, alone or with their padding.
            source: Tokens ``(N, K, dim)`` to which they attend in each layer. Default: to one another.
            first_only: Whether to return the first token ``(N, 1, dim)`` alone, for which the last layer
                need not compute the others.
        """
        padding = split_padding(sequences if source is None else source)[1]
        x = self.dropout(add_positions(sequences))
        seen = None if source is None else self.dropout(add_positions(source))
        for layer in self.layers:
            asked = x[:, :1] if first_only and layer is self.layers[-1] else x
            x = layer(asked, x if seen is None else seen, padding)
        return self.norm(x[:, :1] if first_only else x)


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
        """Return tokens ``(N, L, dim)`` for ``(N, L, in_channels)``, with their padding if it was given.

        What the input holds at padding, even if it is not a number, changes no other token.

        Raises:
            ValueError: If the input is no sequences.
        """
        tokens, padding = without_padding(sequences)
        if tokens.ndim != 3:
            raise ValueError(
                f'SequenceEncoder takes sequences (N, L, C), but was given {tuple(tokens.shape)}. Give '
                'vectors an encoder of their own, in `backbone.encoders`, such as '
                "dict(type='torchvision.ops.MLP', hidden_channels=[64, 64])."
            )
        encoded = self.transformer((self.projection(tokens), padding))
        return encoded if isinstance(sequences, Tensor) else (encoded, padding)

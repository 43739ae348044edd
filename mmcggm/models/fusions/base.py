"""What fusions share: how representations are told apart, checked and pooled."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmcggm.structures.nested import describe
from mmcggm.structures.sequences import Sequences, pool_tokens, split_padding, without_padding

POOLS = ('mean', 'first')


class Fusion(BaseModule):
    """A fusion of ``M`` representations into vectors ``(N, dim)``.

    A representation is a vector ``(N, C_i)``, tokens ``(N, L_i, C_i)``, or ``(tokens, padding)`` with
    padding ``(N, L_i)``, bool. What tokens hold at padding changes nothing.

    Args:
        num_modalities: M; a :class:`MultimodalBackbone` gives it.
        in_channels: Channels ``C_i`` of each modality's representation, in the order of the modalities,
            or one number for all. Default: ``dim``.
        dim: Channels of the result.
        init_cfg: Initialisation.

    Attributes:
        names (list[str]): Of the modalities, for errors; a :class:`MultimodalBackbone` gives them.

    Raises:
        ValueError: If ``in_channels`` has another number of entries than there are modalities, or not all
            are positive.
    """

    def __init__(
        self,
        num_modalities: int,
        in_channels: int | Sequence[int] | None = None,
        dim: int = 40,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        in_channels = dim if in_channels is None else in_channels
        widths = [in_channels] * num_modalities if isinstance(in_channels, int) else list(in_channels)
        if len(widths) != num_modalities or min(widths) < 1:
            raise ValueError(
                f'`fusion.in_channels` needs a positive number for each of the {num_modalities} modalities, '
                f'or one for all, got {in_channels}.'
            )
        self.in_channels = tuple(widths)
        self.dim = dim
        self.names = [f'modality {index}' for index in range(num_modalities)]

    def check(self, representations: Sequence[Sequences]) -> None:
        """Raise a ValueError unless each representation is of a kind and width that the fusion takes."""
        found = []
        for name, representation in zip(self.names, representations, strict=True):
            parts = (representation,) if isinstance(representation, Tensor) else representation
            features, axes = parts[0], (2, 3) if len(parts) == 1 else (3,)
            if len(parts) > 2 or not isinstance(features, Tensor) or features.ndim not in axes:
                raise ValueError(
                    f'{type(self).__name__} takes vectors (N, C), tokens (N, L, C) or (tokens, padding), but '
                    f'the encoder of {name} returns {describe(representation)}: let it pool or flatten its '
                    'output.'
                )
            found.append(features.shape[-1])
        if tuple(found) != self.in_channels:
            widths = ', '.join(f'{name} {width}' for name, width in zip(self.names, found, strict=True))
            raise ValueError(
                f'The encoders return these numbers of channels: {widths}. But '
                f'`backbone.fusion.in_channels`, or without it `dim`, says {list(self.in_channels)}: set '
                f'`backbone.fusion.in_channels` to {found if len({*found}) > 1 else found[0]}, or change the '
                'encoders.'
            )

    def projections(self) -> nn.ModuleList:
        """Return a linear layer to ``dim`` channels for each modality that has another number of them."""
        return nn.ModuleList(
            nn.Identity() if c == self.dim else nn.Linear(c, self.dim) for c in self.in_channels
        )


class VectorFusion(Fusion):
    """A fusion of one vector a modality; sequences are pooled to vectors first.

    Args:
        num_modalities: M.
        in_channels: See :class:`Fusion`.
        dim: Channels of the result.
        pool: What is taken from a sequence: the ``'mean'`` of the tokens that count, or the ``'first'``.
        init_cfg: Initialisation.

    Raises:
        ValueError: If ``pool`` is unknown.
    """

    def __init__(
        self,
        num_modalities: int,
        in_channels: int | Sequence[int] | None = None,
        dim: int = 40,
        pool: str = 'mean',
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(num_modalities, in_channels, dim, init_cfg)
        self.pool = check_pool(pool)

    def forward(self, representations: Sequence[Sequences]) -> Tensor:
        """Return ``(N, dim)`` for ``M`` representations.

        Raises:
            ValueError: If a representation doesn't fit.
        """
        self.check(representations)
        return self.fuse(
            [
                x if isinstance(x, Tensor) and x.ndim == 2 else pool_tokens(x, self.pool)
                for x in representations
            ]
        )

    @abstractmethod
    def fuse(self, vectors: list[Tensor]) -> Tensor:
        """Return ``(N, dim)`` for ``M`` vectors ``(N, C_i)``."""


class TokenFusion(Fusion):
    """A fusion of tokens, through a linear layer where their width isn't ``dim``; a vector is one token.

    Args:
        num_modalities: M.
        in_channels: See :class:`Fusion`.
        dim: Channels of the tokens and of the result.
        init_cfg: Initialisation.
    """

    def __init__(
        self,
        num_modalities: int,
        in_channels: int | Sequence[int] | None = None,
        dim: int = 40,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(num_modalities, in_channels, dim, init_cfg)
        self.project = self.projections()

    def forward(self, representations: Sequence[Sequences]) -> Tensor:
        """Return ``(N, dim)`` for ``M`` representations.

        Raises:
            ValueError: If a representation doesn't fit.
        """
        self.check(representations)
        sequences = []
        for representation, project in zip(representations, self.project, strict=True):
            features, padding = split_padding(representation)
            if features.ndim == 2:
                features = features.unsqueeze(1)
            tokens, padding = without_padding((features, padding))
            sequences.append((project(tokens), padding))
        return self.fuse(sequences)

    @abstractmethod
    def fuse(self, sequences: list[tuple[Tensor, Tensor | None]]) -> Tensor:
        """Return ``(N, dim)`` for ``M`` sequences ``(N, L_i, dim)`` and their padding."""


def check_pool(pool: str) -> str:
    """Return ``pool``, or raise a ValueError if it is unknown."""
    if pool not in POOLS:
        raise ValueError(f'`fusion.pool` must be one of {POOLS}, got {pool!r}.')
    return pool

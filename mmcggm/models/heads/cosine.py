"""A head of modality-wise cosines: MMCosine (Xu et al., ICASSP 2023, arXiv 2303.05338)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from mmcggm.registry import MODELS


@MODELS.register_module()
class CosineHead(nn.Linear):
    """Classifies the concatenation of the modalities by ``logit_k = s Σ_i cos(h_i, W_ik)``.

    Xu et al., *MMCosine: Multi-Modal Cosine Loss Towards Balanced Audio-Visual Fine-Grained Learning*,
    ICASSP 2023, arXiv 2303.05338. ``W_ik`` is the part of the weight of class ``k`` that sees modality
    ``i``. No modality can dominate by the norm of its features or weights: each adds a logit in
    ``[-s, s]``. Published for two modalities; the sum goes over any number, as the formula says. There is
    no bias.

    Its input is that of ``ConcatFusion(project=False)``. Since it is a linear layer with another product,
    a balancer may act beside it, and an :class:`AutoGuide` takes it as its template.

    Args:
        in_features: Channels of the concatenation.
        out_features: Number of classes, K.
        widths: Channels ``C_i`` of each modality, in the order of the modalities.
        scale: s. Logits that are bounded by ``M s`` need it large enough for a confident softmax, the
            larger the more classes; the authors' code has 10.

    Raises:
        ValueError: If ``widths`` don't add up to ``in_features``, there are fewer than two classes, or
            ``scale`` is not positive.
    """

    def __init__(
        self, in_features: int, out_features: int, widths: Sequence[int], scale: float = 10.0
    ) -> None:
        if sum(widths) != in_features:
            raise ValueError(
                f'`head.widths` {list(widths)} add up to {sum(widths)}, but the fusion returns {in_features} '
                "channels: set them to the encoders' channels, and `fusion.project=False`."
            )
        if out_features < 2 or scale <= 0:
            raise ValueError(
                'CosineHead classifies: it needs `outputs` >= 2 and `head.scale` > 0, got '
                f'{out_features} and {scale}.'
            )
        super().__init__(in_features, out_features, bias=False)
        self.widths = tuple(widths)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """Return logits ``(N, K)`` for ``(N, in_features)``."""
        blocks = zip(x.split(self.widths, dim=1), self.weight.split(self.widths, dim=1), strict=True)
        return self.scale * sum(F.normalize(h, dim=1) @ F.normalize(w, dim=1).T for h, w in blocks)

    def extra_repr(self) -> str:
        return f'{super().extra_repr()}, widths={self.widths}, scale={self.scale}'

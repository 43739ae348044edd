"""A backbone that sees an image and a second image of the same scene, such as depth."""

from mmengine.model import BaseModule, ModuleList
from mmengine.registry import MODELS


@MODELS.register_module()
class TwoStreamBackbone(BaseModule):
    """Two backbones of one kind, on parts of the channels of an input; their feature maps are added.

    Args:
        stream: Config of a stream's backbone.
        split: Channels of the input ``(N, sum(split), H, W)`` that each stream sees.
    """

    def __init__(self, stream: dict, split: tuple[int, int], init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.split = list(split)
        self.streams = ModuleList(MODELS.build({**stream, 'in_channels': channels}) for channels in split)

    def forward(self, inputs):
        """Return the sum of the streams' feature maps, level by level."""
        parts = inputs.split(self.split, dim=1)
        levels = zip(*(stream(part) for stream, part in zip(self.streams, parts, strict=True)), strict=True)
        return tuple(a + b for a, b in levels)

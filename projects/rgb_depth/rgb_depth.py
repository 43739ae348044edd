"""What mmseg lacks for colour and depth: a transform that reads depth, and a backbone of two encoders."""

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmengine.model import BaseModule
from mmengine.registry import MODELS, TRANSFORMS


@TRANSFORMS.register_module()
class LoadDepth(BaseTransform):
    """Adds depth to ``img`` as its fourth channel, from -1 (near, or not measured) to 1.

    It reads ``img_path2``, an image of one channel in 8 or 16 bits, and belongs after transforms that are for
    colours and before those that move pixels.

    Args:
        farthest: The value in the file that becomes 1; what lies beyond it becomes 1 as well.
    """

    def __init__(self, farthest: float) -> None:
        self.farthest = farthest

    def transform(self, results: dict) -> dict:
        depth = cv2.imread(results['img_path2'], cv2.IMREAD_UNCHANGED)
        if depth is None or depth.shape != results['img'].shape[:2]:
            found = 'no image' if depth is None else f'of shape {depth.shape}'
            raise ValueError(
                f"'{results['img_path2']}' is {found}, but depth must be an image of one channel in the size "
                f"of '{results['img_path']}', {results['img'].shape[:2]}."
            )
        depth = np.clip(depth / self.farthest, 0, 1) * 2 - 1
        results['img'] = np.dstack([results['img'], depth]).astype(np.float32)
        return results


@MODELS.register_module()
class TwoEncoders(BaseModule):
    """An encoder for colour and one for depth, whose feature maps are added, level by level.

    Args:
        colour: Config of a backbone of mmseg's.
        depth: The same, with ``in_channels=1``; its feature maps have the shapes of the other's.
    """

    def __init__(self, colour: dict, depth: dict, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.colour = MODELS.build(colour)
        self.depth = MODELS.build(depth)

    def forward(self, inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return feature maps of images ``(N, 4, H, W)``: red, green, blue and depth."""
        levels = zip(self.colour(inputs[:, :3]), self.depth(inputs[:, 3:]), strict=True)
        return tuple(colour + depth for colour, depth in levels)

"""Synthetic scenes: squares on noise, clear in colour and faint in depth. No real data."""

import torch
from mmengine.registry import DATASETS
from mmengine.structures import PixelData
from mmpretrain.structures import DataSample
from mmseg.structures import SegDataSample
from torch.utils.data import Dataset

CLASSES = ('background', 'near', 'far')


class SyntheticScenes(Dataset):
    """Scenes ``(4, size, size)``, red, green, blue and depth, with a square of class 1 or 2 each.

    Args:
        length: Number of scenes.
        size: Height and width in pixels.
        seed: Of the random numbers; scenes of different seeds differ.
    """

    metainfo = dict(classes=CLASSES, palette=[[0, 0, 0], [0, 255, 0], [0, 0, 255]])

    def __init__(self, length: int = 64, size: int = 32, seed: int = 0) -> None:
        self.length = length
        self.size = size
        self.seed = seed

    def __len__(self) -> int:
        return self.length

    def scene(self, index: int):
        """Return the image and the class of each pixel ``(size, size)``."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_000 + index)
        label = int(torch.randint(1, len(CLASSES), (), generator=generator))
        top, left = torch.randint(0, self.size // 2, (2,), generator=generator).tolist()
        labels = torch.zeros(self.size, self.size, dtype=torch.long)
        labels[top : top + self.size // 2, left : left + self.size // 2] = label
        image = torch.randn(4, self.size, self.size, generator=generator)
        image[label] += 3 * (labels > 0)
        image[3] += 0.5 * labels
        return image, labels


@DATASETS.register_module()
class SyntheticSegmentation(SyntheticScenes):
    def __getitem__(self, index: int) -> dict:
        image, labels = self.scene(index)
        sample = SegDataSample(gt_sem_seg=PixelData(data=labels.unsqueeze(0)))
        sample.set_metainfo(dict(ori_shape=labels.shape, img_shape=labels.shape))
        return dict(inputs=image, data_samples=sample)


@DATASETS.register_module()
class SyntheticClassification(SyntheticScenes):
    def __getitem__(self, index: int) -> dict:
        image, labels = self.scene(index)
        return dict(inputs=image, data_samples=DataSample().set_gt_label(int(labels.max()) - 1))

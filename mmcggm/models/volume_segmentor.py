"""A segmentor that sees volumes as volumes: patches in training, a sliding window in prediction."""

from __future__ import annotations

import torch
from mmseg.structures import SegDataSample
from torch import Tensor

from mmcggm.registry import MODELS
from mmcggm.utils import import_optional
from mmcggm.utils.sizes import is_size

from .encoders.unet3d import UNet3DEncoder
from .heads.monai_network import MonaiNetworkHead
from .segmentor import OF_VOLUMES, MultimodalSegmentor


@MODELS.register_module()
class VolumeSegmentor(MultimodalSegmentor):
    """A :class:`MultimodalSegmentor` of a 3D network.

    Trains on patches ``{modality: (N, C, D, H, W)}`` with labels int64 ``(D, H, W)`` a sample. Predicts
    volumes of any size by MONAI's ``sliding_window_inference``: the logits of overlapping patches are
    averaged with Gaussian weights. A volume that is smaller than a patch is padded with zeros.

    ``test_cfg`` takes ``mode='slide'``, ``patch_size`` (D, H, W), ``overlap`` of neighbouring patches as a
    share of a patch (default 0.5), ``windows_per_pass``, the number of patches in one forward pass (default
    1), and what :class:`MultimodalSegmentor` takes for volumes.

    Raises:
        ImportError: If MONAI is not installed.
        ValueError: If ``test_cfg`` has another mode, no ``patch_size`` or one that the network cannot take,
            or an ``overlap`` that is no share.
    """

    mode = 'slide'
    per_pass = 'windows_per_pass'
    settings = ('mode', 'patch_size', 'overlap', 'windows_per_pass', *OF_VOLUMES)
    mirrored = (0, 1, 2)

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.sliding_window = import_optional('monai.inferers', extra='brats3d').sliding_window_inference

    def _check_passes(self) -> None:
        """Raise a ValueError unless ``test_cfg`` describes windows that the network can take."""
        cfg = self.test_cfg or {}
        size, overlap = cfg.get('patch_size'), cfg.get('overlap', 0.5)
        if cfg.get('mode') != 'slide' or not is_size(size, axes=3):
            raise ValueError(
                "VolumeSegmentor predicts by a sliding window: it needs `test_cfg=dict(mode='slide', "
                f'patch_size=(D, H, W), overlap=0.5)`, got {cfg}.'
            )
        shares = list(overlap) if isinstance(overlap, (list, tuple)) else [overlap]
        if len(shares) not in (1, 3) or not all(isinstance(s, (int, float)) and 0 <= s < 1 for s in shares):
            raise ValueError(
                '`test_cfg.overlap` must be a share of a patch, at least 0 and less than 1, or one for each '
                f'of (D, H, W), got {overlap!r}.'
            )
        for module in self.modules():
            if isinstance(module, (UNet3DEncoder, MonaiNetworkHead)):
                module.check_size(size)
        super()._check_passes()

    def predict(
        self, inputs: dict[str, Tensor], data_samples: list[SegDataSample] | None = None
    ) -> list[SegDataSample]:
        """Segment volumes, see :meth:`MultimodalSegmentor.predict`.

        Raises:
            ValueError: If the inputs are no volumes ``(N, C, D, H, W)``.
        """
        shapes = {modality: tuple(volume.shape) for modality, volume in inputs.items()}
        if any(len(shape) != 5 for shape in shapes.values()):
            raise ValueError(
                f'VolumeSegmentor takes volumes (N, C, D, H, W), got {shapes}: let the pipeline '
                'load volumes, by `LoadBraTSVolume`.'
            )
        return super().predict(inputs, data_samples)

    def volume_logits(self, volume: dict[str, Tensor]) -> Tensor:
        """Return the averaged logits ``(K, D, H, W)`` of a volume ``{modality: (C, D, H, W)}``."""
        modalities, widths = list(volume), [len(channels) for channels in volume.values()]

        def predict(patches: Tensor) -> Tensor:
            inputs = dict(zip(modalities, patches.split(widths, dim=1), strict=True))
            return self.encode_decode(inputs, [dict(img_shape=patches.shape[2:])] * len(patches))

        return self.sliding_window(
            torch.cat(list(volume.values())).unsqueeze(0),
            roi_size=tuple(self.test_cfg['patch_size']),
            sw_batch_size=self.test_cfg.get(self.per_pass, 1),
            predictor=predict,
            overlap=self.test_cfg.get('overlap', 0.5),
            mode='gaussian',
        ).squeeze(0)

"""mmseg's encoder-decoder for batches of modalities, in slices and in whole volumes."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import torch
from mmengine.structures import PixelData
from mmseg.models.segmentors import EncoderDecoder
from mmseg.structures import SegDataSample
from torch import Tensor

from mmcggm.evaluation import PostProcessing
from mmcggm.registry import MODELS, POST_PROCESSING
from mmcggm.utils.sizes import is_count
from mmcggm.utils.spelling import did_you_mean

from .outputs import RegionOutputs, outputs_of

# Settings of `test_cfg` of any network, for volumes.
OF_VOLUMES = ('flip_axes', 'post_processing', 'probabilities')
Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


@MODELS.register_module()
class MultimodalSegmentor(EncoderDecoder):
    """An ``EncoderDecoder`` whose inputs are dicts by modality.

    Trains on slices ``{modality: (N, C, H, W)}``. Predicts slices as ``EncoderDecoder`` does, and
    volumes ``{modality: (N, C, D, H, W)}`` slice by slice. The losses of the decode head say whether its
    channels are labels or regions, from which labels follow, see :mod:`mmcggm.models.outputs`.

    ``test_cfg`` takes ``mode='whole'``, since slices go through the network whole, and for volumes:

    - ``slices_per_pass``, the number of slices in one forward pass (default 16);
    - ``flip_axes``, along which of the axes (D, H, W) = (0, 1, 2), of a network of slices 1 and 2, volumes
      are flipped: the probabilities are the mean over all combinations, two of one axis, eight of three;
    - ``post_processing``, configs of corrections of the labels, in their order, such as
      :class:`~mmcggm.evaluation.ReplaceSmall` and :class:`~mmcggm.evaluation.KeepLargest`;
    - ``probabilities``, whether the prediction holds them, as they are before any correction.

    Attributes:
        per_pass (str): The setting of ``test_cfg`` that says how much goes through the network at once.
        settings (tuple[str, ...]): The settings of ``test_cfg``.
        mirrored (tuple[int, ...]): The axes of a volume along which it may be flipped.
        outputs (Outputs): What the channels of the decode head mean.
        post_processing (list[PostProcessing]): The corrections.
        members (list[dict[str, Tensor]]): The weights of each network of an ensemble, whose probabilities of
            volumes are averaged; none: those that the segmentor has.

    Raises:
        ValueError: If the losses of the decode head do not agree on what its channels mean, or ``test_cfg``
            has a setting that is not there or of another kind, axes that cannot be flipped, or corrections of
            other labels.
    """

    mode = 'whole'
    per_pass = 'slices_per_pass'
    settings: tuple[str, ...] = ('mode', 'slices_per_pass', *OF_VOLUMES)
    mirrored: tuple[int, ...] = (1, 2)

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.outputs = outputs_of(self.decode_head)
        self.members: list[dict[str, Tensor]] = []
        for name in self.test_cfg or ():
            if name not in self.settings:
                raise ValueError(
                    f"`test_cfg` of a {type(self).__name__} has no setting '{name}'."
                    f'{did_you_mean(name, self.settings)} It takes {", ".join(self.settings)}.'
                )
        self._check_passes()
        self.flips()  # refuses what cannot be flipped
        self.post_processing: list[PostProcessing] = []
        steps = (self.test_cfg or {}).get('post_processing') or ()
        if not isinstance(steps, (list, tuple)):
            raise ValueError(f'`test_cfg.post_processing` must be a list of corrections, got {steps!r}.')
        for place, step in enumerate(steps):
            key = f'test_cfg.post_processing[{place}]'
            built = POST_PROCESSING.build(step, key=key, kind=PostProcessing)
            if built.region_map.labels > self.outputs.labels:
                raise ValueError(
                    f'`{key}` is of {built.region_map.labels} classes, background included, but the network '
                    f'has {self.outputs.describe()}: name the label convention of its data in `labels`.'
                )
            self.post_processing.append(built)

    def check_data(self, metainfo: Mapping[str, Any]) -> None:
        """Raise a ValueError unless corrections fit ``classes`` and ``regions`` of a data set's metainfo."""
        for step in self.post_processing if 'classes' in metainfo else ():
            step.check_data(metainfo['classes'], metainfo.get('regions', {}))

    def flips(self) -> list[tuple[int, ...]]:
        """Return along which axes a volume is flipped, for each pass, the first along none.

        Raises:
            ValueError: If an axis cannot be flipped, or comes twice.
        """
        axes = (self.test_cfg or {}).get('flip_axes', ())
        listed = isinstance(axes, (list, tuple)) and all(type(axis) is int for axis in axes)
        if not listed or not set(axes) <= set(self.mirrored) or len(set(axes)) < len(axes):
            raise ValueError(
                f'`test_cfg.flip_axes` of a {type(self).__name__} must name some of the axes {self.mirrored} '
                f'of (D, H, W), each once; got {axes!r}.'
            )
        return [chosen for size in range(len(axes) + 1) for chosen in combinations(axes, size)]

    def loss(self, inputs: dict[str, Tensor], data_samples: list[SegDataSample]) -> dict:
        """Return the losses of slices ``{modality: (N, C, H, W)}``, or patches of volumes.

        Raises:
            ValueError: If a sample has no labels, or labels of other voxels than its image's. A decode head
                would stretch what it predicts over them, which is no segmentation.
        """
        size = tuple(next(iter(inputs.values())).shape[2:])
        for sample in data_samples:
            if 'gt_sem_seg' not in sample:
                raise ValueError(
                    f"Case '{sample.get('case', '?')}' has no segmentation, so it cannot train: choose "
                    "another `split` of `train_dataloader.dataset`, such as ['train', 'val', 'test'], which "
                    'has no unlabelled cases.'
                )
            labels = tuple(sample.gt_sem_seg.data.shape[-len(size) :])
            if labels != size:
                raise ValueError(
                    f"A sample of case '{sample.get('case', '?')}' has an image of {size}, and labels of "
                    f'{labels}: what crops, pads or resizes in the pipeline must do it to both. Whole '
                    'volumes (`LoadBraTSVolume`) are cut to the brain, with labels of all: they are for '
                    'prediction, and `LoadBraTSPatch` is for training.'
                )
        return super().loss(inputs, data_samples)

    def _check_passes(self) -> None:
        """Raise a ValueError if ``test_cfg`` has a mode that is not there, or a pass of nothing."""
        cfg = self.test_cfg or {}
        if cfg.get('mode', self.mode) != self.mode:
            raise ValueError(
                f"`test_cfg.mode` of a {type(self).__name__} must be '{self.mode}', got {cfg['mode']!r}. "
                'MultimodalSegmentor takes slices whole, VolumeSegmentor slides a window over volumes.'
            )
        if not is_count(cfg.get(self.per_pass, 1)):
            raise ValueError(
                f'`test_cfg.{self.per_pass}` must be an integer of at least 1, got {cfg[self.per_pass]!r}.'
            )

    def predict(
        self, inputs: dict[str, Tensor], data_samples: list[SegDataSample] | None = None
    ) -> list[SegDataSample]:
        """Segment slices or volumes.

        Args:
            inputs: ``{modality: (N, C, H, W)}`` or ``{modality: (N, C, D, H, W)}``. A volume may be
                a crop, padded at the end of each axis: metainfo ``crop_box`` holds the crop as
                ``((d0, d1), (h0, h1), (w0, w1))`` and ``ori_shape`` the full size ``(D, H, W)``.
            data_samples: A sample each; their metainfo describes the inputs.

        Returns:
            The samples with ``pred_sem_seg``. For a volume: uint8 labels ``(D, H, W)`` in full
            size, background outside the crop; where they are asked for, ``probabilities`` as well, float32
            ``(K, D, H, W)``, of the labels or regions. Metainfo ``finite`` says whether these are numbers
            everywhere: NaN counts as background.

        Raises:
            ValueError: If an ensemble gets slices, or volumes of a batch lack different modalities.
        """
        if next(iter(inputs.values())).ndim == 4:
            if self.members:
                raise ValueError('An ensemble segments volumes (N, C, D, H, W), and got slices.')
            return super().predict(inputs, data_samples)
        if data_samples is None:
            data_samples = [SegDataSample() for _ in next(iter(inputs.values()))]
        if any(sample.get('present') != data_samples[0].get('present') for sample in data_samples):
            raise ValueError(
                'Volumes of a batch are segmented one after another, so those that lack different modalities '
                'can not share one: take `batch_size=1`.'
            )
        for index, sample in enumerate(data_samples):
            volume = {modality: volumes[index] for modality, volumes in inputs.items()}
            probabilities = self.volume_probabilities(volume).unsqueeze(0)
            sample.set_metainfo(dict(finite=bool(probabilities.isfinite().all())))
            labels = self.outputs.label_map(probabilities)
            box = sample.metainfo.get('crop_box')
            if box is not None:
                labels = _uncrop(labels, box, sample.metainfo['ori_shape'])
            corrected = labels[0]
            for step in self.post_processing:
                corrected = step(corrected, sample.metainfo.get('spacing'))
            sample.set_data({'pred_sem_seg': PixelData(data=corrected)})
            if (self.test_cfg or {}).get('probabilities', False):
                probabilities = probabilities[0]
                if box is not None:
                    shape, background = sample.metainfo['ori_shape'], self.outputs.background
                    probabilities = _uncrop(probabilities, box, shape, background)
                sample.set_data({'probabilities': probabilities})
        return data_samples

    def volume_probabilities(self, volume: dict[str, Tensor]) -> Tensor:
        """Return probabilities ``(K, D, H, W)`` of a volume ``{modality: (C, D, H, W)}``, float32.

        They are added up in place, so that memory does not grow with the number of flips and of members.
        """
        total: Tensor | None = None
        flips, members = self.flips(), self.members or [None]
        for weights in members:
            if weights is not None:
                self.load_state_dict(weights)
            for axes in flips:
                found = self._flipped_probabilities(volume, [axis + 1 for axis in axes])
                total = found if total is None else total.add_(found)
                del found  # not held while the next ones are found
        assert total is not None
        return total.div_(len(members) * len(flips))

    def _flipped_probabilities(self, volume: dict[str, Tensor], axes: list[int]) -> Tensor:
        """Return probabilities of a volume that is flipped along axes, flipped back."""
        if not axes:
            return self._probabilities(volume)
        flipped = {modality: channels.flip(axes) for modality, channels in volume.items()}
        return self._probabilities(flipped).flip(axes)

    def _probabilities(self, volume: dict[str, Tensor]) -> Tensor:
        return self.outputs.probabilities(self.volume_logits(volume).unsqueeze(0)).squeeze(0)

    def volume_logits(self, volume: dict[str, Tensor]) -> Tensor:
        """Return the logits ``(K, D, H, W)`` of a volume ``{modality: (C, D, H, W)}``."""
        slices = {modality: v.transpose(0, 1) for modality, v in volume.items()}
        depth, _, height, width = next(iter(slices.values())).shape
        step = (self.test_cfg or {}).get(self.per_pass, 16)
        parts = []
        for start in range(0, depth, step):
            chunk = {modality: s[start : start + step] for modality, s in slices.items()}
            size = len(next(iter(chunk.values())))
            logits = self.encode_decode(chunk, [dict(img_shape=(height, width))] * size)
            parts.append(logits.transpose(0, 1))
        return torch.cat(parts, dim=1)

    def postprocess_result(
        self, seg_logits: Tensor, data_samples: list[SegDataSample] | None = None
    ) -> list[SegDataSample]:
        """Return slices as mmseg does, of regions by the logits of the labels that follow."""
        if isinstance(self.outputs, RegionOutputs):
            seg_logits = self.outputs.label_logits(seg_logits)
        return super().postprocess_result(seg_logits, data_samples)

    def _decode_head_forward_train(self, inputs: list[Tensor], data_samples: list[SegDataSample]) -> dict:
        losses = super()._decode_head_forward_train(inputs, data_samples)
        if isinstance(self.outputs, RegionOutputs):
            losses.pop('decode.acc_seg', None)  # mmseg's, of labels that the greatest logit would tell
        return losses


def _uncrop(crop: Tensor, box: Box, shape: tuple[int, int, int], background: float = 0) -> Tensor:
    """Put a crop ``(K, D', H', W')``, padded at its ends, back into a volume ``(K, D, H, W)``.

    Outside it the first channel is ``background``, and the others are 0.
    """
    (d0, d1), (h0, h1), (w0, w1) = box
    full = crop.new_zeros((len(crop), *shape))
    full[0] = background
    full[:, d0:d1, h0:h1, w0:w1] = crop[:, : d1 - d0, : h1 - h0, : w1 - w0]
    return full

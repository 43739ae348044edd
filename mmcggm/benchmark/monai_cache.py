"""MONAI's cached volumes of BraTS cases and random crops of them, to measure ours beside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmcggm.datasets import BraTSDataset
from mmcggm.datasets.brats.cases import MODALITIES, SourceCase, find_cases
from mmcggm.utils import import_optional

KEYS = ('img', 'gt_seg_map')


def cases_in_both(source: Path, store: Path, at_most: int) -> list[SourceCase]:
    """Return cases with a segmentation whose files are in ``source`` and that the store has, too.

    Raises:
        FileNotFoundError: If there is none.
    """
    held = {item['case'] for item in BraTSDataset(str(store), split='all', sample='patch')}
    cases = [case for case in find_cases(source).cases if case.case in held][:at_most]
    if not cases:
        raise FileNotFoundError(f'No case with a segmentation is in both {source} and {store}.')
    return cases


def cached_volumes(cases: Sequence[SourceCase]) -> list[dict]:
    """Return what MONAI's cache holds of each case: volumes, and where the tumour and the rest are."""
    monai = import_optional('monai.transforms', extra='dev')
    load = monai.Compose(
        [
            monai.LoadImaged(KEYS, image_only=True, ensure_channel_first=True),
            monai.NormalizeIntensityd('img', nonzero=True, channel_wise=True),
            monai.CropForegroundd(KEYS, source_key='img', allow_smaller=True),
            monai.FgBgToIndicesd('gt_seg_map'),
        ]
    )
    return [
        load(dict(img=[str(case.files[name]) for name in MODALITIES], gt_seg_map=str(case.files['seg'])))
        for case in cases
    ]


def cropped(
    cached: list[dict],
    size: Sequence[int],
    tumour: float,
    augmentation: Sequence[dict],
    copy_cache: bool = True,
) -> Sequence:
    """Return MONAI's ``CacheDataset`` of a random crop of each case.

    Args:
        cached: See :func:`cached_volumes`.
        size: Voxels of a crop along each axis.
        tumour: Share of the crops that are centred on tumour.
        augmentation: Configs of MONAI's dictionary transforms of a crop.
        copy_cache: Whether a volume is copied before it is cropped, which is MONAI's default.
    """
    monai = import_optional('monai.transforms', extra='dev')
    steps = [
        monai.RandCropByPosNegLabeld(
            KEYS,
            label_key='gt_seg_map',
            spatial_size=tuple(size),
            pos=tumour,
            neg=1 - tumour,
            fg_indices_key='gt_seg_map_fg_indices',
            bg_indices_key='gt_seg_map_bg_indices',
            allow_smaller=True,
        ),
        monai.SpatialPadd(KEYS, tuple(size)),
        *(
            getattr(monai, step['type'])(**{key: value for key, value in step.items() if key != 'type'})
            for step in augmentation
        ),
        monai.ToTensord(KEYS, track_meta=False),
    ]
    return import_optional('monai.data', extra='dev').CacheDataset(
        cached, steps, progress=False, copy_cache=copy_cache
    )

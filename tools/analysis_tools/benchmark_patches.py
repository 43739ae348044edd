"""How fast random 3D patches come, and what they cost by their size, side by side in one run.

    python tools/analysis_tools/benchmark_patches.py data/BraTS2021 data/brats --json patches.json

Compares, for the cases that are in both folders and for each size of the patch,

- ours: an item of ``BraTSDataset``, with the transforms of ``configs/_base_/datasets/brats3d.py``;
- MONAI: an item of a ``CacheDataset`` that keeps normalised volumes, cut to the brain, in memory, as float32,
  with the same transforms after ``RandCropByPosNegLabeld``;
- MONAI without copies: the same with ``copy_cache=False``, for which each volume isn't copied before it is
  cropped. That is safe only because the crop comes first;
- ours_read: of ours, what reading alone takes.

The contenders take turns. Time is that of the process on its cores; files are in the system's cache.
"""

import argparse
import itertools
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

from mmcggm.benchmark.measure import time_in_turns
from mmcggm.datasets import BraTSDataset
from mmcggm.datasets.brats.cases import MODALITIES, SourceCase, find_cases
from mmcggm.datasets.transforms import LoadBraTSPatch
from mmcggm.utils import import_optional
from mmcggm.utils.measured import add_json_argument, give
from mmcggm.utils.run_tool import run_tool

KEYS = ('img', 'gt_seg_map')
CONFIG = Path(__file__).parents[2] / 'configs' / '_base_' / 'datasets' / 'brats3d.py'
STEPS = Config.fromfile(CONFIG).augmentation.steps
PIPELINE = [dict(type='MonaiTransforms', steps=STEPS), dict(type='PackMultimodalInputs')]


def cached_by_monai(cases: Sequence[SourceCase]) -> list[dict]:
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


def monai_dataset(cached: list[dict], size: int, copy_cache: bool) -> Sequence:
    """Return MONAI's data set of patches with transforms that equal ours."""
    monai = import_optional('monai.transforms', extra='dev')
    crop = [
        monai.RandCropByPosNegLabeld(
            KEYS,
            label_key='gt_seg_map',
            spatial_size=(size,) * 3,
            pos=2,
            neg=1,
            fg_indices_key='gt_seg_map_fg_indices',
            bg_indices_key='gt_seg_map_bg_indices',
            allow_smaller=True,
        ),
        monai.SpatialPadd(KEYS, (size,) * 3),
    ]
    augment = [
        getattr(monai, step['type'])(**{key: value for key, value in step.items() if key != 'type'})
        for step in STEPS
    ]
    return import_optional('monai.data', extra='dev').CacheDataset(
        cached,
        [*crop, *augment, monai.ToTensord(KEYS, track_meta=False)],
        progress=False,
        copy_cache=copy_cache,
    )


def by_turns(read: Callable[[int], object], indices: Sequence[int]) -> Callable[[], object]:
    """Return a function that reads the next of ``indices`` at each call."""
    turns = itertools.cycle(indices)
    return lambda: read(next(turns))


def measure(store: Path, cases: Sequence[SourceCase], cached: list[dict], size: int, repeats: int) -> dict:
    """Return each contender's median time for a patch, in ms, and ratios of them."""
    load = LoadBraTSPatch((size,) * 3)
    ours = BraTSDataset(str(store), split='all', sample='patch', pipeline=[load, *PIPELINE])
    index_of = {ours.get_data_info(index)['case']: index for index in range(len(ours))}
    indices, places = [index_of[case.case] for case in cases], range(len(cases))
    times = time_in_turns(
        dict(
            ours=by_turns(ours.__getitem__, indices),
            ours_read=by_turns(lambda index: load(ours.get_data_info(index)), indices),
            monai=by_turns(monai_dataset(cached, size, True).__getitem__, places),
            monai_without_copies=by_turns(monai_dataset(cached, size, False).__getitem__, places),
        ),
        torch.device('cpu'),
        repeats,
    )
    median = {name: statistics.median(values) for name, values in times.items()}
    return dict(
        median_ms={name: 1e3 * value for name, value in median.items()},
        mean_ms={name: 1e3 * statistics.mean(values) for name, values in times.items()},
        times_as_fast_as_monai=median['monai'] / median['ours'],
        times_as_fast_as_monai_without_copies=median['monai_without_copies'] / median['ours'],
        ours_read_ns_per_voxel=1e9 * median['ours_read'] / size**3,
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('source', type=Path, help='folder of the NIfTI files')
    parser.add_argument('store', type=Path, help='what the converter made of it')
    parser.add_argument('--sizes', type=int, nargs='+', default=[32, 48, 64, 80, 96, 112, 128])
    parser.add_argument('--cases', type=int, default=4, help='number of cases to use at most')
    parser.add_argument('--repeats', type=int, default=40, help='patches of each kind and size')
    add_json_argument(parser)
    args = parser.parse_args()

    init_default_scope('mmcggm')
    torch.set_num_threads(1)
    held = {item['case'] for item in BraTSDataset(str(args.store), split='all', sample='patch')}
    cases = [case for case in find_cases(args.source).cases if case.case in held][: args.cases]
    if not cases:
        parser.error(f'no case with a segmentation is in both {args.source} and {args.store}')
    cached = cached_by_monai(cases)
    figures = dict(
        cases=[case.case for case in cases],
        repeats=args.repeats,
        sizes={
            str(size): measure(args.store, cases, cached, size, args.repeats) for size in sorted(args.sizes)
        },
    )
    give(figures, args.json)


if __name__ == '__main__':
    run_tool(main)

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
from mmcggm.benchmark.monai_cache import cached_volumes, cases_in_both, cropped
from mmcggm.datasets import BraTSDataset
from mmcggm.datasets.brats.cases import SourceCase
from mmcggm.datasets.transforms import LoadBraTSPatch
from mmcggm.utils.measured import add_json_argument, give
from mmcggm.utils.run_tool import run_tool

CONFIG = Path(__file__).parents[2] / 'configs' / '_base_' / 'datasets' / 'brats3d.py'
STEPS = Config.fromfile(CONFIG).augmentation.steps
PIPELINE = [dict(type='MonaiTransforms', steps=STEPS), dict(type='PackMultimodalInputs')]


def by_turns(read: Callable[[int], object], indices: Sequence[int]) -> Callable[[], object]:
    """Return a function that reads the next of ``indices`` at each call."""
    turns = itertools.cycle(indices)
    return lambda: read(next(turns))


def measure(store: Path, cases: Sequence[SourceCase], cached: list[dict], size: int, repeats: int) -> dict:
    """Return each contender's median time for a patch, in ms, and ratios of them."""
    load = LoadBraTSPatch((size,) * 3)
    ours = BraTSDataset(str(store), split='all', sample='patch', pipeline=[load, *PIPELINE])
    index_of = {ours.get_data_info(index)['case']: index for index in range(len(ours))}
    crop = ((size,) * 3, 0.67, STEPS)
    indices, places = [index_of[case.case] for case in cases], range(len(cases))
    times = time_in_turns(
        dict(
            ours=by_turns(ours.__getitem__, indices),
            ours_read=by_turns(lambda index: load(ours.get_data_info(index)), indices),
            monai=by_turns(cropped(cached, *crop).__getitem__, places),
            monai_without_copies=by_turns(cropped(cached, *crop, copy_cache=False).__getitem__, places),
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
    cases = cases_in_both(args.source, args.store, args.cases)
    cached = cached_volumes(cases)
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

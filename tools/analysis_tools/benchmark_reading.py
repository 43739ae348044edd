"""How fast training slices are read, and how large the store is, side by side in one run.

    python tools/analysis_tools/benchmark_reading.py data/BraTS2021 data/brats --json reading.json

Compares, for the cases that are in both folders,

- nibabel: load the case's NIfTI files;
- MONAI: read an item of a ``PersistentDataset`` whose cache holds the normalised volumes, centre
  cropped, and draw a slice from it (a) or whose cache holds tumour slices (b);
- ours: read an item of ``BraTSDataset``, a random tumour slice;

the last two with the published transforms: centre crop, quarter turn, flip, noise. All caches are
filled before, and the contenders take turns.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
from mmengine.registry import init_default_scope

from mmcggm.datasets import BraTSDataset
from mmcggm.datasets.brats.cases import MODALITIES, SourceCase, find_cases
from mmcggm.datasets.brats.volume_store import StoredCase, case_path
from mmcggm.utils import import_optional
from mmcggm.utils.measured import add_json_argument, give
from mmcggm.utils.run_tool import run_tool

CROP = 160
PIPELINE = [
    dict(type='LoadBraTSSlice'),
    dict(type='CenterCropOrPad', size=CROP),
    dict(type='RandomRot90', ks=(0, 1, 2)),
    dict(type='RandomFlip', prob=[0.5, 0.5], direction=['horizontal', 'vertical']),
    dict(type='mmseg.BioMedicalGaussianNoise', prob=0.1, std=0.1),
    dict(type='PackMultimodalInputs'),
]
SLICES_PER_CASE = 8  # that MONAI's cache of slices holds: filling it reads the whole case for each


def load_with_nibabel(case: SourceCase) -> list[np.ndarray]:
    return [np.asarray(nib.load(path).dataobj) for path in case.files.values()]


def monai_datasets(cases: list[SourceCase], store: Path, cache: Path) -> dict:
    """Return MONAI's data sets of volumes and of slices, with transforms that equal ours."""
    monai = import_optional('monai.transforms', extra='dev')
    persistent = import_optional('monai.data', extra='dev').PersistentDataset
    keys = ['image', 'seg']
    load = [
        monai.LoadImaged(keys, image_only=True, ensure_channel_first=True),
        monai.NormalizeIntensityd('image', nonzero=True, channel_wise=True),
        monai.ResizeWithPadOrCropd(keys, (CROP, CROP, -1)),
    ]
    augment = [
        monai.OneOf([monai.RandRotate90d(keys, 1.0, k) for k in (1, 2)] + [monai.Identityd(keys)]),
        monai.RandAxisFlipd(keys, 1.0),
        monai.RandGaussianNoised('image', prob=0.1, std=0.1),
        monai.ToTensord(keys, track_meta=False),
    ]

    def at(item: dict, z: int) -> dict:
        # A copy, because MONAI's cache would else keep the volume behind the slice.
        return {key: item[key][..., z].clone() for key in keys}

    class TumourSlice(monai.Transform):
        def __call__(self, item: dict) -> dict:
            return at(item, item['z'])

    class RandomTumourSlice(monai.RandomizableTransform):
        def __call__(self, item: dict) -> dict:
            return at(item, int(self.R.choice(item['tumour_slices'])))

    volumes, slices = [], []
    for case in cases:
        tumour = StoredCase(case_path(store, case.case)).tumour_slices
        files = dict(image=[str(case.files[name]) for name in MODALITIES], seg=str(case.files['seg']))
        volumes.append(dict(files, tumour_slices=tumour))
        chosen = tumour[np.linspace(0, len(tumour) - 1, SLICES_PER_CASE).astype(int)]
        slices += [dict(files, z=int(z)) for z in chosen]
    return {
        'monai_volumes': persistent(volumes, [*load, RandomTumourSlice(), *augment], cache / 'volumes'),
        'monai_slices': persistent(slices, [*load, TumourSlice(), *augment], cache / 'slices'),
    }


def time_in_turns(readers: dict[str, Callable[[int], object]], repeats: int) -> dict[str, float]:
    """Return each reader's median time in seconds; reader ``f`` is called as ``f(turn)``."""
    times: dict[str, list[float]] = {name: [] for name in readers}
    for turn in range(-2, repeats):  # two turns warm up
        for name, read in readers.items():
            start = time.perf_counter()
            read(turn % repeats)
            if turn >= 0:
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('source', type=Path, help='folder of the NIfTI files')
    parser.add_argument('store', type=Path, help='what the converter made of it')
    parser.add_argument('--cases', type=int, default=4, help='number of cases to use at most')
    parser.add_argument('--repeats', type=int, default=30, help='reads of each kind')
    add_json_argument(parser)
    args = parser.parse_args()

    init_default_scope('mmcggm')
    ours = BraTSDataset(str(args.store), split='all', pipeline=PIPELINE)
    held = {ours.get_data_info(index)['case'] for index in range(len(ours))}
    cases = [case for case in find_cases(args.source).cases if case.case in held][: args.cases]
    if not cases:
        parser.error(f'no case with a tumour is in both {args.source} and {args.store}')
    index_of = {ours.get_data_info(index)['case']: index for index in range(len(ours))}
    order = [index_of[case.case] for case in cases]

    with tempfile.TemporaryDirectory() as cache:
        monai = monai_datasets(cases, args.store, Path(cache))
        for dataset in monai.values():
            for index in range(len(dataset)):
                dataset[index]
        seconds = time_in_turns(
            {
                'nibabel': lambda turn: load_with_nibabel(cases[turn % len(cases)]),
                **{
                    name: lambda turn, dataset=dataset: dataset[turn % len(dataset)]
                    for name, dataset in monai.items()
                },
                'ours': lambda turn: ours[order[turn % len(order)]],
            },
            args.repeats,
        )
    source_bytes = sum(path.stat().st_size for case in cases for path in case.files.values())
    store_bytes = sum(case_path(args.store, case.case).stat().st_size for case in cases)
    figures = dict(
        cases=[case.case for case in cases],
        repeats=args.repeats,
        median_ms={name: 1e3 * value for name, value in seconds.items()},
        times_as_fast_as_nibabel=seconds['nibabel'] / seconds['ours'],
        times_as_fast_as_monai_volumes=seconds['monai_volumes'] / seconds['ours'],
        times_as_fast_as_monai_slices=seconds['monai_slices'] / seconds['ours'],
        store_size_to_source_size=store_bytes / source_bytes,
    )
    give(figures, args.json)


if __name__ == '__main__':
    run_tool(main)

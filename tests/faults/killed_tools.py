"""Kill tools at random moments of their work, run them again, and compare what they end with.

    python -m tests.faults.killed_tools --what conversion --count 30 --seed 0 --json killed.json

``conversion`` kills ``brats.py``, ``caching`` ``cache_features.py``, ``benchmark`` ``benchmark.py``,
``inference`` ``test.py --out`` and ``folds`` ``folds.py``: real commands on small synthetic files, the main
process alone or with its workers, up to four times before they may end. Exits with 1 if a file was not whole
under its own name, if the end differs from that of an uninterrupted run, or if files or processes are left
over.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np

from mmcggm.datasets.brats.volume_store import StoredCase
from mmcggm.utils.atomic import TEMPORARY_PREFIX, replacing
from tests.formats.av_digits import write_synthetic_recordings
from tests.formats.food101 import write_bert, write_food101, write_vit
from tests.synthetic import write_synthetic_case

ROOT = Path(__file__).parents[2]
KILLS = 4  # of one run at most, before it may end
PATIENCE = 30  # seconds in which the workers of a killed process must end
BENCHMARK = """
small = {{
    'train_cfg.max_epochs': 1,
    'model.model.backbone.encoders.audio.channels': (4, 8),
    'model.model.backbone.encoders.image.channels': (4, 8),
    'model.model.backbone.fusion.in_channels': [8, 8],
    **{{f'{{split}}_dataloader.dataset.data_root': {data!r} for split in ('train', 'val', 'test')}},
}}
methods = {{
    'joint': dict(config='configs/baseline/av_digits.py', overrides=small),
    'CGGM': dict(config='configs/cggm/av_digits.py', overrides=small),
}}
settings = {{'clean': {{}}}}
seeds = [0, 1]
baseline = 'joint'
metrics = ['accuracy']
checkpoint = 'best'
"""
CACHE = """
_base_ = [{root!r} + '/configs/cggm/food101_cached.py']
source = dict(data_root={data!r}, tokenizer={bert!r})
backbones = dict(image=dict(path={vit!r}), text=dict(path={bert!r}))
dataset = dict(source=source, backbones=backbones)
train_dataloader = dict(dataset=dataset)
val_dataloader = dict(dataset=dataset)
test_dataloader = dict(dataset=dataset)
"""
NETWORK = """
_base_ = [{root!r} + '/configs/cggm/brats_unet_demo.py']
test_dataloader = dict(dataset=dict(data_root={store!r}, split='all'))
"""
FOLDS = """
_base_ = [{root!r} + '/configs/cggm/brats_unet_demo.py']
channels = (6, 8)
network = dict(in_channels=channels)
model = dict(
    model=dict(
        backbone=dict(encoder=dict(channels=channels), fusion=dict(out_channels=channels, **network)),
        decode_head=network,
    ),
    guide=dict(head=dict(in_channels=channels[1:], in_index=[1], channels=6)),
)
data = dict(dataset=dict(data_root={store!r}))
train_dataloader = data
val_dataloader = data
test_dataloader = data
optim_wrapper = dict(optimizer=dict(_delete_=True, type='Adam', lr=0.03))
param_scheduler = []
train_cfg = dict(max_epochs=3)
"""


@dataclass
class Subject:
    """A tool that writes files.

    Attributes:
        command: Of the tool and its arguments, without ``{out}``, which stands for the folder that it writes.
        results: Yields name and content of what is in that folder under its own name.
    """

    command: list[str]
    results: Callable[[Path], Iterator[tuple[str, bytes]]]


def conversion(folder: Path) -> Subject:
    for number in range(8):
        write_synthetic_case(folder / 'source', f'BraTS2021_{number:05d}', shape=(96, 96, 64), seed=number)

    def results(out: Path) -> Iterator[tuple[str, bytes]]:
        for path in out.glob('cases/[!.]*.h5'):
            case = StoredCase(path)
            image, seg = case.read_volume(case.modalities)
            yield path.name, image.tobytes() + seg.tobytes()
        if (out / 'splits.json').exists():
            yield 'splits.json', (out / 'splits.json').read_bytes()

    return Subject(['tools/dataset_converters/brats.py', str(folder / 'source'), '--out', '{out}'], results)


def caching(folder: Path) -> Subject:
    write_food101(folder / 'data', train=60, test=20)
    vit = write_vit(folder / 'vit', image_size=224)
    paths = dict(data=folder / 'data', bert=write_bert(folder / 'bert'), vit=vit)
    config = folder / 'cached.py'
    config.write_text(CACHE.format(root=str(ROOT), **{name: str(path) for name, path in paths.items()}))
    options = ['--out', '{out}', '--views', '3', '--shard-size', '4', '--workers', '1']
    return Subject(['tools/dataset_converters/cache_features.py', str(config), *options], _whole_files)


def benchmark(folder: Path) -> Subject:
    from mmcggm.datasets.av_digits.converter import convert_folder

    convert_folder(write_synthetic_recordings(folder / 'recordings', speakers=['theo']), folder / 'data')
    config = folder / 'small.py'
    config.write_text(BENCHMARK.format(data=str(folder / 'data')))

    def results(out: Path) -> Iterator[tuple[str, bytes]]:
        for path in out.rglob('result.json'):
            result = json.loads(path.read_text())
            yield str(path.relative_to(out)), json.dumps([result['metrics'], result['validation']]).encode()

    command = ['tools/benchmark.py', str(config), '--jobs', '2', '--no-costs', '--work-dir', '{out}']
    return Subject(command, results)


def inference(folder: Path) -> Subject:
    import torch
    from mmengine.config import Config
    from mmengine.registry import DefaultScope

    from mmcggm.datasets.brats.converter import convert_folder
    from mmcggm.registry import MODELS

    for number in range(8):
        write_synthetic_case(folder / 'source', f'BraTS2021_{number:05d}', shape=(64, 64, 48), seed=number)
    convert_folder(folder / 'source', folder / 'store')
    config = folder / 'network.py'
    config.write_text(NETWORK.format(root=str(ROOT), store=str(folder / 'store')))
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmcggm'):
        model = MODELS.build(Config.fromfile(config).model)
    torch.save(dict(meta={}, state_dict=model.state_dict()), folder / 'weights.pth')

    def results(out: Path) -> Iterator[tuple[str, bytes]]:
        for path in out.glob('[!.]*.nii.gz'):
            yield path.name, np.asanyarray(nib.load(path).dataobj).tobytes()

    options = ['--format-only', '--out', '{out}', '--work-dir', str(folder / 'work')]
    return Subject(['tools/test.py', str(config), str(folder / 'weights.pth'), *options], results)


def folds(folder: Path) -> Subject:
    from mmcggm.datasets.brats.converter import convert_folder

    for number in range(6):
        write_synthetic_case(folder / 'source', f'BraTS2021_{number:05d}', seed=number)
    convert_folder(folder / 'source', folder / 'store')
    config = folder / 'tiny.py'
    config.write_text(FOLDS.format(root=str(ROOT), store=str(folder / 'store')))

    def results(out: Path) -> Iterator[tuple[str, bytes]]:
        for pattern in ('table.*', 'cases.csv', 'fold_*/cases.csv', 'folds.json', 'splits/[!.]*'):
            yield from ((str(path.relative_to(out)), path.read_bytes()) for path in out.glob(pattern))
        for path in out.glob('segmentations/[!.]*'):
            yield path.name, np.asanyarray(nib.load(path).dataobj).tobytes()

    options = ['--folds', '3', '--jobs', '2', '--work-dir', '{out}']
    crop = ['--cfg-options', 'train_dataloader.dataset.pipeline.1.size=32']
    return Subject(['tools/folds.py', str(config), *options, *crop], results)


SUBJECTS = dict(conversion=conversion, caching=caching, benchmark=benchmark, inference=inference, folds=folds)


def _whole_files(out: Path) -> Iterator[tuple[str, bytes]]:
    for path in out.rglob('*'):
        if path.is_file() and not path.name.startswith(TEMPORARY_PREFIX):
            yield str(path.relative_to(out)), path.read_bytes()


class Trials:
    """Runs of one tool in ``folder``, killed and repeated."""

    def __init__(self, what: str, seed: int, folder: Path) -> None:
        self.random = random.Random(seed)
        self.folder = folder
        self.subject = SUBJECTS[what](folder)
        self.result = dict(
            what=what, seed=seed, kills=0, runs_compared=0, half_files=0, different=0, leftovers=0, orphans=0,
            failures=[],
        )  # fmt: skip
        process = self.start(folder / 'uninterrupted')
        began = self.wait_for_work(process, folder / 'uninterrupted')
        self.finish(process)
        self.duration = time.monotonic() - began
        self.expected = self.digests(folder / 'uninterrupted')

    def start(self, out: Path) -> subprocess.Popen:
        """Begin, or go on with, a run that writes to ``out``."""
        command = [argument.replace('{out}', str(out)) for argument in self.subject.command]
        environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1', 'HF_HUB_OFFLINE': '1'}
        with (self.folder / 'output').open('ab') as log:
            return subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_for_work(self, process: subprocess.Popen, out: Path) -> float:
        """Wait until the run writes its first file, or ends; return when that was."""
        before = self.entries(out)
        while self.entries(out) == before and process.poll() is None:
            time.sleep(0.002)
        return time.monotonic()

    def finish(self, process: subprocess.Popen) -> None:
        """Wait until a run has ended.

        Raises:
            RuntimeError: If it fails.
        """
        if process.wait():
            log = (self.folder / 'output').read_text(errors='replace')[-2000:]
            raise RuntimeError(f'A run failed that was not killed:\n{log}')

    @staticmethod
    def entries(out: Path) -> set[tuple[str, int]]:
        found = set()
        for folder, _, names in os.walk(out):  # unlike rglob it bears that a folder vanishes meanwhile
            for name in names:
                path = os.path.join(folder, name)
                with contextlib.suppress(FileNotFoundError):
                    found.add((path, os.lstat(path).st_mtime_ns))
        return found

    def digests(self, out: Path) -> dict[str, str]:
        return {name: hashlib.sha256(data).hexdigest() for name, data in self.subject.results(out)}

    def run(self, number: int, kills: int) -> None:
        """Kill a run up to ``kills`` times, let it end, and compare."""
        out = self.folder / f'trial_{number}'
        for _ in range(kills):
            if not self.kill(out):
                break  # it ended before
            self.compare(out, ended=False)
        try:
            self.finish(self.start(out))
        except RuntimeError as error:
            self.result['failures'].append(str(error))
            return
        self.compare(out, ended=True)
        self.result['runs_compared'] += 1
        self.result['leftovers'] += len(list(out.rglob(f'{TEMPORARY_PREFIX}*')))

    def kill(self, out: Path) -> bool:
        """Kill a run while it works; return whether it had not ended before."""
        process = self.start(out)
        self.wait_for_work(process, out)
        time.sleep(self.random.random() * self.duration)
        if process.poll() is not None:
            return False
        with_workers = self.random.random() < 0.5
        (os.killpg if with_workers else os.kill)(process.pid, signal.SIGKILL)
        process.wait()
        self.result['kills'] += 1
        self.result['orphans'] += self.orphans(process.pid)
        return True

    def orphans(self, session: int) -> int:
        """Return how many processes of a killed run go on; kill those, too."""
        deadline = time.monotonic() + PATIENCE
        while (left := _session(session)) and time.monotonic() < deadline:
            time.sleep(0.05)
        for process in left:
            os.kill(process, signal.SIGKILL)
        return len(left)

    def compare(self, out: Path, ended: bool) -> None:
        try:
            found = self.digests(out)
        except (OSError, ValueError) as error:
            self.result['half_files'] += 1
            self.result['failures'].append(str(error))
            return
        wrong = [name for name, digest in found.items() if self.expected.get(name) != digest]
        missing = ended and self.expected.keys() - found.keys()
        self.result['different'] += bool(wrong or missing)
        if wrong or missing:
            self.result['failures'].append(f'differ: {wrong}, missing: {sorted(missing or ())}')


def _session(session: int) -> list[int]:
    """Return the processes of a session that have not ended."""
    found = []
    for entry in Path('/proc').glob('[0-9]*/stat'):
        try:
            state, _, _, owner = entry.read_text().rpartition(')')[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(owner) == session and state != 'Z':
            found.append(int(entry.parent.name))
    return found


def run(what: str, count: int, seed: int) -> dict:
    """Return what ``count`` kills of a tool cost."""
    with tempfile.TemporaryDirectory() as folder:
        trials = Trials(what, seed, Path(folder))
        number = 0
        while trials.result['kills'] < count:
            trials.run(number, min(KILLS, count - trials.result['kills']))
            number += 1
    return trials.result


def all_is_well(result: dict) -> bool:
    """Say whether nothing was lost, half written or left over."""
    return not any(result[key] for key in ('half_files', 'different', 'leftovers', 'orphans', 'failures'))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--what', choices=SUBJECTS, required=True)
    parser.add_argument('--count', type=int, default=10, help='kills')
    parser.add_argument('--seed', type=int, default=0, help='of the moments')
    parser.add_argument('--json', type=Path, help='also write the result here')
    args = parser.parse_args()
    result = run(args.what, args.count, args.seed)
    print(json.dumps(result, indent=2))
    if args.json:
        with replacing(args.json) as temporary:
            temporary.write_text(json.dumps(result, indent=2) + '\n', encoding='utf-8')
    return 0 if all_is_well(result) else 1


if __name__ == '__main__':
    sys.exit(main())

"""Kill trainings at random moments, resume them, and compare what they end with.

    python -m tests.faults.kills --what checkpoint --count 50 --seed 0 --json kills.json

``training`` kills anywhere in a training, its start among it; ``checkpoint`` while a checkpoint is written,
for which a slow disk is simulated. Exits with 1 if anything was lost beyond the iterations since the last
checkpoint. Each training is a process forked from this one, which has imported everything and trained
nothing.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import random
import shutil
import signal
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from mmengine.fileio import LocalBackend
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmcggm.engine.checkpoint_files import newest_checkpoint
from mmcggm.utils.atomic import TEMPORARY_PREFIX
from tests.faults.trainings import ITERATIONS, begin_training

INTERVAL = 3  # iterations between checkpoints
CHUNKS, PAUSE = 20, 0.002  # of the slow disk: parts of a file, and seconds between them


class Progress(Hook):
    """Tells another process, through shared memory, how many iterations are done."""

    priority = 'VERY_HIGH'

    def __init__(self, memory: mmap.mmap) -> None:
        self.memory = memory

    def after_train_iter(self, runner: Runner, *args, **kwargs) -> None:
        self.memory[:8] = struct.pack('q', runner.iter + 1)


def slow_put(self: LocalBackend, content: bytes, path: str | Path) -> None:
    """Write as ``LocalBackend.put`` does, on a slow disk."""
    size = -(-len(content) // CHUNKS)
    with open(path, 'wb', buffering=0) as file:
        for start in range(0, len(content), size):
            file.write(content[start : start + size])
            time.sleep(PAUSE)


def forked(work: Callable[[], None], log: Path) -> int:
    """Run ``work`` in a process of its own, whose output goes to ``log``; return its number."""
    process = os.fork()
    if process:
        return process
    status = 1
    try:
        with log.open('ab') as file:
            for stream in (1, 2):
                os.dup2(file.fileno(), stream)
        work()
        status = 0
    finally:
        sys.stdout.flush()
        os._exit(status)


def final_state(folder: Path) -> dict:
    """Return all of the last checkpoint that does not tell when and where it was made."""
    checkpoint = torch.load(folder / f'iter_{ITERATIONS}.pth', weights_only=True)
    return {key: checkpoint[key] for key in ('state_dict', 'optimizer', 'place')}


def same(a: object, b: object) -> bool:
    """Whether nested values are equal to the last bit."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a.nan_to_num(), b.nan_to_num())
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b or a != a


class Trials:
    """Trainings in ``folder``, each of which is killed once."""

    def __init__(self, what: str, seed: int, folder: Path) -> None:
        self.what = what
        self.random = random.Random(seed)
        self.folder = folder
        self.memory = mmap.mmap(-1, 8)
        self.expected = folder / 'uninterrupted'
        self.result = dict(
            what=what, seed=seed, kills=0, half_files=0, iterations_lost=[], passed_over=0, same_to_the_bit=0,
            leftovers=0, failures=[],
        )  # fmt: skip
        began = time.monotonic()
        self.finish(self.start(self.expected))
        self.duration = time.monotonic() - began

    def start(self, work_dir: Path) -> int:
        """Begin or resume a training."""
        self.memory[:8] = struct.pack('q', 0)
        work_dir.mkdir(exist_ok=True)

        def work() -> None:
            if self.what == 'checkpoint':
                LocalBackend.put = slow_put
            begin_training(work_dir, INTERVAL, [Progress(self.memory)]).train()

        return forked(work, work_dir / 'output')

    def finish(self, process: int) -> None:
        """Wait until a training is done.

        Raises:
            RuntimeError: If it fails.
        """
        if os.waitpid(process, 0)[1]:
            raise RuntimeError('A training failed that was not killed.')

    def done(self) -> int:
        """Return how many iterations the training has done."""
        return struct.unpack('q', self.memory[:8])[0]

    def run(self, number: int) -> None:
        """Kill a training, resume it, and compare."""
        work_dir = self.folder / f'trial_{number}'
        for _ in range(100):  # a moment may come when it is too late
            shutil.rmtree(work_dir, ignore_errors=True)
            if self.kill(self.start(work_dir), work_dir):
                break
        else:
            raise RuntimeError('No training was killed in a hundred tries.')
        self.result['kills'] += 1
        self.result['half_files'] += len(list(work_dir.glob(f'{TEMPORARY_PREFIX}*')))
        newest = newest_checkpoint(work_dir)
        self.result['passed_over'] += len(newest.passed_over)
        saved = 0 if newest.path is None else int(newest.path.stem.rpartition('_')[2])
        self.result['iterations_lost'].append(max(self.done() - saved, 0))
        try:
            self.finish(self.start(work_dir))
        except RuntimeError as error:
            self.result['failures'].append(f'{number}: {error} {(work_dir / "output").read_text()[-2000:]}')
            return
        self.result['leftovers'] += len(list(work_dir.glob(f'{TEMPORARY_PREFIX}*')))
        self.result['same_to_the_bit'] += same(final_state(work_dir), final_state(self.expected))
        shutil.rmtree(work_dir)

    def kill(self, process: int, work_dir: Path) -> bool:
        """Kill a training at a random moment; return whether that was one of those that are asked for."""
        if self.what == 'training':
            after, moment = self.random.randrange(ITERATIONS), self.random.random()
            self.wait(process, lambda: self.done() >= after)
            time.sleep(moment * self.duration / ITERATIONS)
        else:
            save, moment = self.random.randint(1, ITERATIONS // INTERVAL), self.random.random()
            self.wait(process, lambda: self.done() >= save * INTERVAL)
            time.sleep(moment * CHUNKS * PAUSE * 2)
        os.kill(process, signal.SIGKILL)
        killed = os.WIFSIGNALED(os.waitpid(process, 0)[1])
        return killed and (self.what == 'training' or any(work_dir.glob(f'{TEMPORARY_PREFIX}*')))

    def wait(self, process: int, until: Callable[[], bool]) -> None:
        """Wait until something is so, or the process has ended."""
        while not until() and os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            time.sleep(0.0005)


def run(what: str, count: int, seed: int) -> dict:
    """Return what ``count`` kills cost."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        trials = Trials(what, seed, Path(folder))
        for number in range(count):
            trials.run(number)
    lost = trials.result.pop('iterations_lost')
    return {**trials.result, 'most_iterations_lost': max(lost), 'checkpoint_interval': INTERVAL}


def all_is_well(result: dict) -> bool:
    """Whether every training ended as if it had not been killed, and nothing is left of the kills."""
    return (
        result['same_to_the_bit'] == result['kills']
        and not result['leftovers']
        and not result['passed_over']
        and result['most_iterations_lost'] <= result['checkpoint_interval']
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--what', choices=['training', 'checkpoint'], required=True)
    parser.add_argument('--count', type=int, default=50)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--json', type=Path, help='where the figures are written')
    args = parser.parse_args()
    result = run(args.what, args.count, args.seed)
    text = json.dumps(result, indent=2)
    print(text)
    if args.json is not None:
        args.json.write_text(text + '\n', encoding='utf-8')
    return 0 if all_is_well(result) else 1


if __name__ == '__main__':
    sys.exit(main())

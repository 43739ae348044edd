"""What comes of reading mutated files.

    python -m tests.faults.mutated_files --format wav --count 1000 --json wav.json

Each file is read in a process that has a time limit and a limit on memory, so that crashes, hangs and bombs
are seen. Exits with 1 if there was one of these, an error that doesn't name the file, or, in a format with
checksums, other data.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from tests.faults.file_formats import FORMATS
from tests.faults.mutations import mutate

REFUSED, EQUAL, OTHER, BARE, CRASH, HANG = (
    'refused by name',
    'equal data',
    'other data',
    'bare error',
    'crash',
    'hang',
)
OUTCOMES = (REFUSED, EQUAL, OTHER, BARE, CRASH, HANG)
START = 'spawn'  # how processes that read start
SECONDS = 60  # a good file takes less than one
MEMORY = 4 << 30  # bytes beyond what the process has when it starts


class Outcome(NamedTuple):
    """What came of one file; ``seed`` makes it again."""

    seed: int
    mutation: str
    outcome: str
    message: str


def read_mutated(name: str, count: int, first: int = 0, seconds: float = SECONDS) -> list[Outcome]:
    """Mutate a good file ``count`` times and read each.

    Args:
        name: Of the format.
        count: Of files.
        first: The first seed.
        seconds: That reading may take.
    """
    found = []
    with tempfile.TemporaryDirectory() as folder:
        path = FORMATS[name].make(Path(folder).resolve())
        content = path.read_bytes()
        with _Reader(name, path, seconds) as reader:
            kind, expected = reader.read(content)
            if kind != EQUAL:
                raise RuntimeError(f'The good file of {name} is not read: {kind}, {expected}')
            for seed in range(first, first + count):
                mutation, mutated = mutate(content, seed)
                kind, message = reader.read(mutated)
                if kind == EQUAL and message != expected:
                    kind = OTHER
                found.append(Outcome(seed, mutation, kind, message))
    return found


def summary(found: list[Outcome]) -> dict[str, int]:
    """Return how often each outcome was."""
    counts = Counter(outcome.outcome for outcome in found)
    return {outcome: counts[outcome] for outcome in OUTCOMES}


def faults(name: str, found: list[Outcome]) -> list[Outcome]:
    """Return what may not be."""
    bad = (BARE, CRASH, HANG, *((OTHER,) if FORMATS[name].checksums else ()))
    return [outcome for outcome in found if outcome.outcome in bad]


class _Reader:
    """A process that reads the file when asked, and another when that one is gone.

    Args:
        name: Of the format.
        path: The file, a good one.
        seconds: That reading may take.
    """

    def __init__(self, name: str, path: Path, seconds: float) -> None:
        self._name, self._path, self._seconds = name, path, seconds
        self._good = path.read_bytes()
        self._process: Any = None

    def __enter__(self) -> _Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def read(self, content: bytes) -> tuple[str, str]:
        """Return the outcome of reading a file of these bytes, and the digest of the data or the message."""
        if self._process is None:
            self._path.write_bytes(self._good)
            context = multiprocessing.get_context(START)
            self._pipe, other = context.Pipe()
            self._process = context.Process(target=_serve, args=(other, self._name, self._path), daemon=True)
            self._process.start()
            other.close()
            self._pipe.recv()  # it is ready
        self._path.write_bytes(content)
        self._pipe.send('read')
        try:
            if self._pipe.poll(self._seconds):
                return self._pipe.recv()
            outcome = HANG, f'no answer in {self._seconds} s'
        except (EOFError, ConnectionResetError):
            self._process.join()
            outcome = CRASH, f'exit code {self._process.exitcode}'
        self._end()
        return outcome

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None


def _serve(pipe: Any, name: str, path: Path) -> None:
    """Read the file whenever asked."""
    from mmengine.registry import init_default_scope

    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    torch.set_num_threads(1)
    warnings.simplefilter('ignore')
    init_default_scope('mmcggm')
    FORMATS[name].read(path)  # a good one; imports what is needed, before memory is limited
    size = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY, size + MEMORY))
    pipe.send('ready')
    while pipe.recv():
        try:
            pipe.send((EQUAL, digest(FORMATS[name].read(path))))
        except Exception as error:
            message = f'{type(error).__name__}: {error}'
            named = isinstance(error, (ValueError, OSError)) and path.stem in str(error)
            pipe.send((REFUSED if named else BARE, message[:500]))


def digest(value: Any) -> str:
    """Return a digest of arrays, tensors, numbers and text in lists and dicts."""
    result = hashlib.sha256()
    _update(result, value)
    return result.hexdigest()


def _update(result: Any, value: Any) -> None:
    if isinstance(value, torch.Tensor):
        value = value.numpy()
    if isinstance(value, np.ndarray):
        result.update(f'{value.dtype.str}{value.shape}'.encode() + np.ascontiguousarray(value).tobytes())
    elif isinstance(value, Mapping):
        for key in sorted(value, key=str):
            result.update(str(key).encode())
            _update(result, value[key])
    elif isinstance(value, (list, tuple)):
        result.update(f'{len(value)} items'.encode())
        for part in value:
            _update(result, part)
    else:
        result.update(repr(value).encode())


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m tests.faults.mutated_files',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--format', nargs='+', choices=list(FORMATS), help='which (default: all that have a reader)'
    )
    parser.add_argument('--count', type=int, default=1000, help='files of each (default: 1000)')
    parser.add_argument('--first', type=int, default=0, help='seed of the first (default: 0)')
    parser.add_argument('--json', type=Path, help='file for the counts, and for each fault how to repeat it')
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    report, bad = {}, False
    for name in args.format or [name for name, entry in FORMATS.items() if entry.exists]:
        found = read_mutated(name, args.count, args.first)
        wrong = faults(name, found)
        print(
            f'{name}: ' + ', '.join(f'{count} {outcome}' for outcome, count in summary(found).items()),
            flush=True,
        )
        for outcome in wrong:
            print(
                f'  seed {outcome.seed}, {outcome.mutation}: {outcome.outcome}: {outcome.message}', flush=True
            )
        report[name] = dict(
            files=len(found), checksums=FORMATS[name].checksums, **summary(found),
            faults=[outcome._asdict() for outcome in wrong],
        )  # fmt: skip
        bad |= bool(wrong)
        if args.json:
            args.json.write_text(json.dumps(report, indent=2) + '\n', encoding='utf-8')
    return int(bad)


if __name__ == '__main__':
    sys.exit(main())

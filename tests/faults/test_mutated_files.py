"""Files that were damaged are refused by name, or hold what they held: nothing crashes, hangs or is executed.

``python -m tests.faults.mutated_files`` does the same with thousands of files.
"""

import faulthandler
import os
import pickle
import time
from contextlib import suppress

import pytest

from tests.faults.file_formats import FORMATS, Format
from tests.faults.mutated_files import BARE, CRASH, EQUAL, HANG, OTHER, REFUSED, faults, read_mutated, summary
from tests.faults.mutations import MUTATIONS, mutate

COUNT = 30


@pytest.mark.parametrize('name', FORMATS)
def test_what_mutated_files_come_to(name):
    if not FORMATS[name].exists:
        pytest.skip(f'there is no {FORMATS[name].needs}')
    found = read_mutated(name, COUNT)
    assert not faults(name, found) and summary(found)[REFUSED] > COUNT / 4


def test_mutations_are_seeded_and_change_something():
    content = bytes(range(256)) * 20
    for seed in range(10 * len(MUTATIONS)):
        assert mutate(content, seed) == mutate(content, seed)
        assert mutate(content, seed)[1] != content
        assert mutate(b'a', seed)[1] != b'a' and mutate(bytes(50), seed)[1] != bytes(50)
    assert {mutate(content, seed)[0] for seed in range(len(MUTATIONS))} == {m.__name__ for m in MUTATIONS}


def make_numbers(folder):
    path = folder / 'numbers.bin'
    path.write_bytes(bytes(100))
    return path


def read_and_misbehave(path):
    """Crash, hang, raise and accept, by the sum of the bytes."""
    content = path.read_bytes()
    kind = sum(content) % 5 if content != bytes(100) else 4
    if kind == 0:
        faulthandler.disable()  # pytest's, which would fill the log
        os.abort()
    if kind == 1:
        time.sleep(60)
    if kind == 2:
        raise KeyError('what is this')
    if kind == 3:
        raise ValueError(f'{path} is damaged')
    return content


def test_the_tool_tells_outcomes_apart(monkeypatch):
    monkeypatch.setitem(FORMATS, 'misbehaving', Format(make_numbers, read_and_misbehave, checksums=False))
    # The process that reads gets no change of this one's table.
    monkeypatch.setattr('tests.faults.mutated_files.START', 'fork')
    found = read_mutated('misbehaving', 40, seconds=0.5)
    counts = summary(found)
    assert sum(counts.values()) == 40 and all(counts[kind] for kind in (OTHER, BARE, CRASH, HANG, REFUSED))
    assert counts[EQUAL] == 0 and len(faults('misbehaving', found)) == sum(
        counts[k] for k in (BARE, CRASH, HANG)
    )


OPCODES = [
    value
    for name, value in vars(pickle).items()
    if name.isupper() and isinstance(value, bytes) and len(value) == 1
]


@pytest.mark.parametrize('seed', range(2))
def test_pickles_of_any_opcodes_run_nothing(tmp_path, monkeypatch, seed):
    monkeypatch.setitem(FORMATS, 'opcodes', Format(make_program, read_programs, checksums=False))
    monkeypatch.setattr('tests.faults.mutated_files.START', 'fork')
    monkeypatch.setenv('RAN', str(tmp_path / 'ran'))
    found = read_mutated('opcodes', 12, first=12 * seed)
    assert not faults('opcodes', found) and not (tmp_path / 'ran').exists()


def make_program(folder):
    path = folder / 'program.txt'
    path.write_text('seed of programs')
    return path


def read_programs(path):
    """Read 200 pickles of opcodes in a random order, beginning as those of arrays do; none is to escape."""
    import random

    from mmcggm.datasets.readers.safe_pickle import load_pickle
    from tests.test_datasets.test_readers.test_safe_pickle import ARRAY, DTYPE, FROM_BUFFER, SCALAR

    draw, file = random.Random(path.read_bytes()), path.with_name('program.pkl')
    pieces = [
        *OPCODES, *(DTYPE + b"(S'" + code + b"'\ntR" for code in (b'O8', b'f8', b'S9')),
        ARRAY, SCALAR, FROM_BUFFER, *(b'(I%d\nt' % side for side in (1, -9, 99_999_999_999)),
        b'\x43\x08AAAAAAAA', b'(NNl', b'I0\n', b'I1\n', b"S'C'\n", b'cos\nsystem\n', b"S'touch $RAN'\n",
        b'\x8c\x02os', b'\x8c\x06system', b'p0\n', b'g0\n', b'(I1\n',
    ]  # fmt: skip
    for _ in range(200):
        file.write_bytes(b'\x80\x05' + b''.join(draw.choices(pieces, k=draw.randint(1, 40))) + b'.')
        with suppress(ValueError):
            load_pickle(file)
    return []

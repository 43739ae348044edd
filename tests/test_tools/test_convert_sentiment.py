"""The converter of sentiment pickles: whole or not at all, and nothing unsafe."""

import importlib.util
import os
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.formats.mosi import SIZES, mmsa_data, mult_data, write_pickle
from tests.tool import exit_status

TOOL = Path(__file__).parents[2] / 'tools' / 'dataset_converters' / 'sentiment.py'


@pytest.fixture
def run_tool(monkeypatch):
    """Return a function that runs the tool's ``main`` and returns its exit status."""
    spec = importlib.util.spec_from_file_location('convert_sentiment_tool', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def run(*arguments) -> int:
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
        return exit_status(module.main)

    return run


class Command:
    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_conversion_says_what_it_made(run_tool, tmp_path, capsys):
    source = write_pickle(tmp_path / 'data.pkl', mmsa_data())
    assert run_tool(source) == 0
    out = capsys.readouterr().out
    assert 'data.h5: 12 samples in train, 5 samples in valid, 7 samples in test' in out
    with h5py.File(tmp_path / 'data.h5') as file:
        assert {split: len(file[split]['labels']) for split in file} == SIZES
        assert file['train/text'].dtype == np.float32


def test_conversion_replaces_an_older_file(run_tool, tmp_path):
    source = write_pickle(tmp_path / 'data.pkl', mult_data())
    target = tmp_path / 'deep' / 'er' / 'store.hdf5'
    assert run_tool(source, '--out', target) == 0
    first = target.read_bytes()
    write_pickle(source, mult_data(seed=1))
    assert run_tool(source, '--out', target) == 0
    assert target.read_bytes() != first and os.listdir(target.parent) == ['store.hdf5']


def test_an_unsafe_pickle_is_refused_and_nothing_written(run_tool, tmp_path, capsys):
    data = mult_data()
    data['test']['id'] = Command(f'touch {tmp_path / "ran"}')  # in the last split
    source = write_pickle(tmp_path / 'data.pkl', data)
    assert run_tool(source) == 1
    error = capsys.readouterr().err
    assert f"'{os.system.__module__}.system'" in error and 'save it anew as numpy arrays' in error
    assert os.listdir(tmp_path) == ['data.pkl']


@pytest.mark.parametrize('spoil', ['a split', 'the disk', 'the file'])
def test_a_failure_leaves_the_older_file_and_nothing_else(run_tool, tmp_path, capsys, monkeypatch, spoil):
    target = tmp_path / 'data.h5'
    target.write_bytes(b'older')
    data = mult_data()
    if spoil == 'a split':
        data['test']['audio'][2, -1, 0] = np.nan
    source = write_pickle(tmp_path / 'data.pkl', data)
    if spoil == 'the file':
        source.write_bytes(source.read_bytes()[:-100])
    if spoil == 'the disk':

        def fail(*args, **kwargs):
            raise OSError('No space left on device')

        monkeypatch.setattr(h5py.Group, 'create_dataset', fail)
    assert run_tool(source) == 1
    expected = {'a split': "split 'test': 'audio' holds 1", 'the disk': 'No space', 'the file': 'not a whole'}
    assert expected[spoil] in capsys.readouterr().err
    assert sorted(os.listdir(tmp_path)) == ['data.h5', 'data.pkl'] and target.read_bytes() == b'older'


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [(['nowhere.pkl'], 'nowhere.pkl'), (['data.pkl', '--out', 'data.npz'], "'data.npz' must end in")],
)
def test_a_wrong_call_is_explained(run_tool, tmp_path, monkeypatch, capsys, arguments, message):
    write_pickle(tmp_path / 'data.pkl', mult_data())
    monkeypatch.chdir(tmp_path)
    assert run_tool(*arguments) == 1
    assert message in capsys.readouterr().err

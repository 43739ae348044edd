"""The watch's recordings: from the published file to windows."""

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcggm.datasets.watch.converter import FILE, convert_recordings, read_recordings, window_statistics
from tests.formats.real_sets import EXERCISES, write_watch
from tests.tool import run_script

TOOL = Path(__file__).parents[2] / 'tools' / 'dataset_converters' / 'watch.py'


def test_windows_keep_recording_exercise_and_subject(tmp_path, monkeypatch, capsys):
    write_watch(tmp_path)
    monkeypatch.setattr(sys, 'argv', [str(TOOL), str(tmp_path), '--out', str(tmp_path / 'out')])
    assert run_script(TOOL) == 0 and '70 windows' in capsys.readouterr().out
    found = np.load(tmp_path / 'out' / FILE)
    series, exercises, subjects = read_recordings(tmp_path)
    assert set(exercises) == set(EXERCISES)
    for row, recording in enumerate(found['recording']):
        assert found['label'][row] == exercises[recording] and found['subject'][row] == subjects[recording]
    window = series[3][100:200]  # the second of this recording
    row = np.flatnonzero(found['recording'] == 3)[1]
    means = np.concatenate([found['accelerometer'][row, ::5], found['gyroscope'][row, ::5]])
    assert np.allclose(means, window.mean(axis=0), atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 40), st.integers(1, 4), st.integers(0, 39), st.integers(0, 9))
def test_statistics_are_those_of_each_window_alone(length, count, rest, seed):
    rest %= length
    recording = np.random.default_rng(seed).normal(size=(length * count + rest, 3))
    found = window_statistics(recording, length)
    assert found.shape == (count, 3, 5) and found.dtype == np.float32
    for number in range(count):
        alone = window_statistics(recording[number * length : (number + 1) * length], length)
        assert np.array_equal(found[number], alone[0])
    mean, deviation, least, most, step = np.moveaxis(found, 2, 0)
    assert (least <= mean).all() and (mean <= most).all() and (2 * deviation <= most - least + 1e-5).all()
    assert (step <= most - least + 1e-5).all()


def test_other_content_is_refused_by_name(tmp_path):
    with pytest.raises(FileNotFoundError, match='pip install --no-deps seglearn'):
        convert_recordings(tmp_path, tmp_path)
    write_watch(tmp_path)
    with pytest.raises(ValueError, match=r'6 s has 300 samples.*shortest recording, 200'):
        convert_recordings(tmp_path, tmp_path, seconds=6)
    for changes, message in (
        (dict(subject=np.zeros(3, int)), '`X`, `y` and `subject` must be as many, but are 35, 35 and 3'),
        (dict(y=np.full(35, 7)), '`y` must be places in `y_labels`, from 0 to 6'),
        (dict(X=_series(5)), r'`X` must be a recording \(T, 6\)'),
        (dict(X=_series(6, np.nan)), 'recording 0 holds values'),
    ):
        write_watch(tmp_path, **changes)
        with pytest.raises(ValueError, match=f'watch_dataset.npy.*{message}'):
            convert_recordings(tmp_path, tmp_path)


def _series(channels: int, value: float = 0.0) -> np.ndarray:
    series = np.empty(35, object)
    for place in range(len(series)):
        series[place] = np.full((150 + place, channels), value)
    return series

"""The page's configs train on files as it describes them."""

import pickle
from pathlib import Path
from uuid import uuid4

import numpy as np
import pandas
import pytest

from tests.tutorials import BLOCK, ROOT, write_files

PAGE = ROOT / 'docs' / 'your_features.md'


def write_moods(folder: Path) -> None:
    draw = np.random.default_rng(0)
    for split, rows in dict(train=40, val=12, test=12).items():
        label = draw.integers(0, 3, rows)
        names = [f'{split} {row}' for row in range(rows)]
        for modality, channels in dict(text=16, audio=8).items():
            values = draw.normal(size=(rows, channels)) + label[:, None]
            pandas.DataFrame(values, names).add_prefix('c').to_csv(folder / f'{modality}_{split}.csv')
        moods = np.array(['calm', 'glad', 'sad'])[label]
        pandas.DataFrame(dict(mood=moods), names).to_csv(folder / f'labels_{split}.csv')


def write_animals(folder: Path) -> None:
    draw = np.random.default_rng(0)
    label = draw.integers(0, 3, 60)
    for modality, channels in dict(sound=16, image=8).items():
        np.save(folder / f'{modality}.npy', draw.normal(size=(60, channels)) + label[:, None])
    np.save(folder / 'animal.npy', label)


def write_gestures(folder: Path) -> None:
    draw = np.random.default_rng(0)
    label, lengths = draw.integers(0, 4, 60), draw.integers(2, 6, 60)
    for name, channels in dict(hand=6, gaze=2).items():
        values = draw.normal(size=(60, 6, channels)) + label[:, None, None]
        values[np.arange(6) >= lengths[:, None]] = 0
        np.save(folder / f'{name}.npy', values)
    np.save(folder / 'gesture.npy', label)
    np.save(folder / 'subject.npy', np.arange(60) // 6)


def write_ratings(folder: Path) -> None:
    draw = np.random.default_rng(0)
    face, voice = draw.normal(size=(60, 12)), draw.normal(size=(60, 8))
    part = np.repeat(['train', 'val', 'test'], [36, 12, 12])
    np.savez(folder / 'all.npz', face=face, voice=voice, ratings=face[:, :5] + voice[:, :5], part=part)


def write_visits(folder: Path) -> None:
    draw = np.random.default_rng(0)
    ward, lengths = draw.integers(0, 3, 60), draw.integers(2, 6, 60)
    heart = draw.normal(size=(60, 6, 3)) + ward[:, None, None]
    heart[np.arange(6) >= lengths[:, None]] = 0
    part = np.repeat(['train', 'val', 'test'], [36, 12, 12])
    np.savez(folder / 'all.npz', heart=heart, blood=draw.normal(size=(60, 12)), ward=ward, part=part)


def write_clips(folder: Path) -> None:
    draw = np.random.default_rng(0)
    label, lengths = draw.integers(0, 3, 60), draw.integers(1, 5, 60)
    names = [f'clip_{place}' for place in range(60)]
    (folder / 'audio').mkdir()
    for name, of_clip, length in zip(names, label, lengths, strict=True):
        np.save(folder / 'audio' / f'{name}.npy', draw.normal(size=(length, 8)) + of_clip)
    text = {n: dict(vector=draw.normal(size=16) + place) for n, place in zip(names, label, strict=True)}
    (folder / 'text.pkl').write_bytes(pickle.dumps(text))
    emotion, part = (
        np.array(['calm', 'glad', 'sad'])[label],
        np.repeat(['train', 'val', 'test'], [36, 12, 12]),
    )
    table = pandas.DataFrame(dict(clip=names, emotion=emotion, part=part))
    table.sample(frac=1, random_state=0).to_csv(folder / 'clips.csv', index=False)


EXAMPLES = dict(
    my_animals=('animals', write_animals),
    my_animals_balanced=('animals', write_animals),
    my_weighted_animals=('animals', write_animals),
    my_moods=('moods', write_moods),
    my_clips=('clips', write_clips),
    my_gestures=('gestures', write_gestures),
    my_visits=('visits', write_visits),
    my_ratings=('ratings', write_ratings),
)


def test_every_block_of_code_is_a_file_that_is_tried():
    text = PAGE.read_text(encoding='utf-8')
    assert {Path(name).stem for name, _ in BLOCK.findall(text)} == set(EXAMPLES)
    assert text.count('```python') == len(EXAMPLES)


@pytest.mark.parametrize('name', EXAMPLES)
def test_it_trains(name, tool, tmp_path, monkeypatch):
    data, write = EXAMPLES[name]
    # The page's files go beside those that they inherit from.
    write_files(PAGE, tmp_path / 'page', link=False)
    (tmp_path / 'data' / data).mkdir(parents=True)
    write(tmp_path / 'data' / data)
    monkeypatch.chdir(tmp_path)
    config = tmp_path / 'page' / 'configs' / f'{name}.py'
    options = ['train_cfg.max_epochs=1', f'experiment_name={uuid4().hex}']
    tool('train.py', config, '--work-dir', tmp_path / 'work', '--cfg-options', *options)
    assert (tmp_path / 'work' / 'epoch_1.pth').is_file()

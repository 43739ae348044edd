"""The converted file holds what the sources hold."""

import pickle

import h5py
import numpy as np
import pytest
import torch

from mmcggm.datasets import FeatureDataset
from mmcggm.datasets.features.converter import convert_features
from mmcggm.datasets.readers.mapped import MappedArray
from mmcggm.datasets.readers.source import Source
from mmcggm.datasets.readers.sources import read_source
from tests.formats.features import CHANNELS, arrays, write, write_tables


def test_tables_a_split_become_one_file(tmp_path):
    write_tables(tmp_path)
    inputs = dict(left='left_{split}.csv', right='right_{split}.csv')
    splits = ('train', 'val', 'test')
    shapes = convert_features(
        inputs, 'label_{split}.csv:label', tmp_path / 'all.h5', splits=splits, data_root=tmp_path
    )
    assert shapes['left'] == (60, 5) and shapes['split'] == (60,)
    for split in splits:
        common = dict(data_root=str(tmp_path), split=split, classes=3)
        of_tables = FeatureDataset(inputs, 'label_{split}.csv:label', **common)
        of_store = FeatureDataset(
            {m: f'all.h5:{m}' for m in CHANNELS}, 'all.h5:labels', splits='all.h5:split', **common
        )
        assert len(of_tables) == len(of_store)
        for a, b in zip(of_tables, of_store, strict=True):
            assert a['labels'] == b['labels']
            assert all(torch.equal(a['inputs'][m], b['inputs'][m]) for m in CHANNELS)
    assert isinstance(read_source(Source.of('all.h5:left', tmp_path, None, 'x')).values, MappedArray)


def test_sequences_that_differ_in_length_get_lengths(tmp_path):
    sequences = [np.full((length, 2), float(length)) for length in (3, 1, 4)]
    (tmp_path / 'x.pkl').write_bytes(pickle.dumps(sequences))
    np.save(tmp_path / 'y.npy', np.array(['a', 'b', 'a']))
    shapes = convert_features(
        dict(x='x.pkl'), 'y.npy', tmp_path / 'out.h5', groups='y.npy', data_root=tmp_path
    )
    assert shapes == dict(x=(3, 4, 2), x_lengths=(3,), labels=(3,), groups=(3,))
    found = FeatureDataset(
        dict(x='out.h5:x'),
        'out.h5:labels',
        data_root=str(tmp_path),
        classes=('a', 'b'),
        lengths=dict(x='out.h5:x_lengths'),
    )
    assert [int(item['lengths']['x']) for item in found] == [3, 1, 4]
    assert [int(item['labels']) for item in found] == [0, 1, 0]


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(target='out.npz'), r'must end in \.h5'),
        (dict(inputs=dict(labels='all.npz:left')), 'can not be a modality'),
        (dict(labels='short.npy'), r"as many rows each, but have .*'labels': 59"),
        (dict(inputs=dict(left='all.npz:left', right='all.npz:split')), 'no real numbers'),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_left(changes, message, tmp_path):
    write(tmp_path / 'all.npz', arrays())
    np.save(tmp_path / 'short.npy', arrays()['label'][:-1])
    given = dict(inputs=dict(left='all.npz:left'), labels='all.npz:label', target='out.h5')
    given.update(changes)
    target = tmp_path / given.pop('target')
    with pytest.raises(ValueError, match=message):
        convert_features(**given, target=target, data_root=tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ['all.npz', 'short.npy']


def test_the_tool_matches_samples_by_their_names(tool, tmp_path):
    (tmp_path / 'audio').mkdir()
    for place in range(4):
        np.save(tmp_path / 'audio' / f'clip{place}.npy', np.full(3, place, np.float32))
    lines = [f'clip{place},{place},{place // 2}' for place in (2, 0, 3, 1)]
    (tmp_path / 'clips.csv').write_text('\n'.join(['name,label,subject', *lines]))
    sources = ['--input', 'audio=audio/*.npy', '--labels', 'clips.csv:label', '--groups', 'clips.csv:subject']
    out = tmp_path / 'out.h5'
    tool('dataset_converters/features.py', '--data-root', tmp_path, *sources, '--names', 'name', '--out', out)
    with h5py.File(out) as file:
        assert file['labels'][()].tolist() == file['audio'][:, 0].tolist() == [2, 0, 3, 1]
        assert file['groups'][()].tolist() == [1, 0, 1, 0]
        assert file['names'].asstr()[()].tolist() == ['clip2', 'clip0', 'clip3', 'clip1']
    (tmp_path / 'val.csv').write_text('clip\nclip3\nclip0\n')  # by name, since the order is another
    found = FeatureDataset(
        dict(audio='out.h5:audio'),
        dict(file='out.h5', key='labels', names='names'),
        split='val',
        splits='{split}.csv:clip',
        classes=4,
        data_root=str(tmp_path),
    )
    assert sorted(int(item['labels']) for item in found) == [0, 3]


def test_names_that_only_count_are_not_kept(tmp_path):
    for split in ('train', 'val'):
        (tmp_path / f'{split}.csv').write_text(',a,label\n0,1.5,0\n1,2.5,1\n')
    inputs, target = dict(a='{split}.csv:a'), tmp_path / 'out.h5'
    shapes = convert_features(
        inputs, '{split}.csv:label', target, splits=('train', 'val'), data_root=tmp_path
    )
    assert shapes == dict(a=(4, 1), labels=(4,), split=(4,))

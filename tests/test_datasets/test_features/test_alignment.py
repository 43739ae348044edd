"""Rows of a sample are found by their names, whatever their order; what could be another's is refused."""

import pickle

import h5py
import numpy as np
import pandas
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tqdm import tqdm

from mmcggm.datasets import FeatureDataset
from mmcggm.datasets.features.converter import convert_features

COUNT = 10
NAMES = np.array([f's{place}' for place in range(COUNT)])
DRAW = np.random.default_rng(0)
VECTORS = DRAW.normal(size=(COUNT, 3)).astype(np.float32)
LENGTHS = 1 + np.arange(COUNT) % 4
SEQUENCES = np.where((np.arange(4) < LENGTHS[:, None])[..., None], DRAW.uniform(1, 2, (COUNT, 4, 2)), 0)
LABELS = np.arange(COUNT) % 3
SPLITS = np.array(['train', 'val', 'test'])[np.arange(COUNT) // 2 % 3]
GROUPS = np.arange(COUNT) // 2
SETTINGS = dict(
    inputs=dict(v='v.csv', s=dict(file='s.npz', key='s', names='id')),
    labels=dict(file='y.csv', key='y', names='id'),
    lengths=dict(s='n.csv:n'),
    groups='g.csv:g',
    splits='p.csv:p',
    split='train',
    classes=3,
)


def write(root, orders):
    """Write each source with its rows in an order of its own."""

    def table(name, values, columns):
        frame = pandas.DataFrame(values, NAMES, columns).iloc[orders[name]]
        frame.to_csv(root / f'{name}.csv', index_label='id' if name == 'y' else None)

    table('v', VECTORS, ['a', 'b', 'c'])
    table('y', LABELS, ['y'])
    table('n', LENGTHS, ['n'])
    table('g', GROUPS, ['g'])
    table('p', SPLITS, ['p'])
    np.savez(root / 's.npz', s=SEQUENCES[orders['s']], id=NAMES[orders['s']])


@given(orders=st.fixed_dictionaries({name: st.permutations(range(COUNT)) for name in 'vsyngp'}))
@settings(max_examples=15, deadline=None)
def test_each_sample_keeps_its_rows_in_any_order(tmp_path_factory, orders):
    root = tmp_path_factory.mktemp('orders')
    write(root, orders)
    found = FeatureDataset(**SETTINGS, data_root=str(root))
    expected = [place for place in orders['y'] if SPLITS[place] == 'train']
    assert found.group_names == {str(GROUPS[place]) for place in expected}
    for item, place in zip(found, expected, strict=True):
        assert np.array_equal(item['inputs']['v'], VECTORS[place]) and item['labels'] == LABELS[place]
        assert item['lengths']['s'] == LENGTHS[place]
        assert np.allclose(item['inputs']['s'], SEQUENCES[place])
    convert_features(
        SETTINGS['inputs'], SETTINGS['labels'], root / 'o.h5', 'g.csv', data_root=root, progress=quiet
    )
    with h5py.File(root / 'o.h5') as file:
        assert np.array_equal(file['v'][()], VECTORS[orders['y']])
        assert np.array_equal(file['labels'][()], LABELS[orders['y']])
        assert np.array_equal(file['groups'][()], GROUPS[orders['y']])


def quiet(**kwargs):
    return tqdm(disable=True, **kwargs)


def test_samples_that_nobody_labelled_are_left_out_and_lacking_ones_named(tmp_path):
    write(tmp_path, {name: np.arange(COUNT) for name in 'vsngp'} | dict(y=np.array([7, 2, 4])))
    settings = dict(SETTINGS, split=None, splits=None, groups=None, data_root=str(tmp_path))
    found = FeatureDataset(**settings)
    assert np.array_equal(np.stack([item['inputs']['v'] for item in found]), VECTORS[[7, 2, 4]])
    write(tmp_path, {name: np.arange(COUNT) for name in 'ysngp'} | dict(v=np.arange(8)))
    with pytest.raises(
        ValueError, match=r"`inputs\.v` .* lacks 2 of the 10 rows .* among them \['s8', 's9'\]"
    ):
        FeatureDataset(**settings)


def by_id(tmp_path, **changes):
    (tmp_path / 'x.pkl').write_bytes(pickle.dumps({name: VECTORS[p] for p, name in enumerate(NAMES)}))
    (tmp_path / 'y.pkl').write_bytes(
        pickle.dumps({n: int(LABELS[p]) for p, n in reversed([*enumerate(NAMES)])})
    )
    (tmp_path / 'p.pkl').write_bytes(pickle.dumps(dict(dev=['s3', 's1'], test={'s4', 's0'}, odd=['s1', 'x'])))
    np.save(tmp_path / 'y.npy', LABELS)
    settings = dict(
        inputs=dict(v='x.pkl:*'), labels='y.pkl:*', splits='p.pkl:{split}', split='dev', classes=3
    )
    return FeatureDataset(**{**settings, 'data_root': str(tmp_path), **changes})


def test_splits_list_names(tmp_path):
    for split, rows in dict(dev=[3, 1], test=[0, 4]).items():
        found = by_id(tmp_path, split=split)
        assert np.array_equal(np.stack([item['inputs']['v'] for item in found]), VECTORS[rows])
        assert [int(item['labels']) for item in found] == LABELS[rows].tolist()
    with pytest.raises(ValueError, match=r"must list names of rows.* holds 1 others, among them \['x'\]"):
        by_id(tmp_path, split='odd')
    with pytest.raises(ValueError, match=r'have names, by which alone .* but `labels` .* has none'):
        by_id(tmp_path, labels='y.npy')


def test_what_has_no_names_needs_one_order(tmp_path):
    write(tmp_path, {name: np.arange(COUNT) for name in 'vysngp'})
    np.save(tmp_path / 'w.npy', VECTORS)
    settings = dict(labels=SETTINGS['labels'], classes=3, data_root=str(tmp_path))
    inputs = dict(v='v.csv', w='w.npy')
    for item in FeatureDataset(inputs, **settings):
        assert torch.equal(item['inputs']['v'], item['inputs']['w'])
    write(tmp_path, {name: np.arange(COUNT) for name in 'vsngp'} | dict(y=np.arange(COUNT)[::-1]))
    with pytest.raises(ValueError, match=r'`inputs\.w` .* has none'):
        FeatureDataset(inputs, **settings)


def test_numbers_are_names_where_somebody_says_so(tmp_path):
    content = {place: VECTORS[place] for place in reversed(range(COUNT))}
    (tmp_path / 'x.pkl').write_bytes(pickle.dumps(content))
    pandas.DataFrame(dict(id=range(COUNT), y=LABELS)).to_csv(tmp_path / 'y.csv', index=False)
    pandas.DataFrame(dict(y=LABELS)).to_csv(tmp_path / 'z.csv')
    settings = dict(inputs=dict(v='x.pkl:*'), classes=3, data_root=str(tmp_path))
    for labels in (dict(file='y.csv', key='y', names='id'), 'z.csv:y'):
        found = FeatureDataset(labels=labels, **settings)
        assert np.array_equal(np.stack([item['inputs']['v'] for item in found]), VECTORS)
    (tmp_path / 'x.pkl').write_bytes(pickle.dumps({**content, COUNT: VECTORS[0]}))
    with pytest.raises(ValueError, match='as many rows'):
        FeatureDataset(labels='z.csv:y', **settings)  # which may have counted a selection


def test_dialogues_by_name_are_taken_whole(tmp_path):
    counts, order = dict(d0=3, d1=2, d2=4, d3=1), ['d2', 'd0', 'd3', 'd1']
    first = dict(zip(counts, np.cumsum([0, *counts.values()]), strict=False))
    text = {d: [VECTORS[first[d] + u] for u in range(counts[d])] for d in order}
    labels = {d: [int(LABELS[first[d] + u]) for u in range(counts[d])] for d in counts}
    (tmp_path / 'x.pkl').write_bytes(pickle.dumps((labels, text, ['d0', 'd2'], {'d1', 'd3'}), 2))
    for split, of_split in {'2': ['d0', 'd2'], '3': ['d1', 'd3']}.items():
        found = FeatureDataset(
            dict(text='x.pkl:1/*'),
            'x.pkl:0/*',
            split=split,
            splits='x.pkl:{split}',
            dialogues=True,
            classes=3,
            data_root=str(tmp_path),
        )
        rows = [first[d] + u for d in of_split for u in range(counts[d])]
        assert found.group_names == set(of_split)
        assert np.array_equal(np.stack([item['inputs']['text'] for item in found]), VECTORS[rows])
        assert [int(item['labels']) for item in found] == LABELS[rows].tolist()


def refused(tmp_path, message, **changes):
    settings = dict(inputs=dict(v='v.npy'), labels='y.npy', classes=3, data_root=str(tmp_path))
    with pytest.raises(ValueError, match=message):
        FeatureDataset(**{**settings, **changes})


def test_what_could_be_of_other_samples_is_refused(tmp_path):
    np.save(tmp_path / 'v.npy', VECTORS)
    np.save(tmp_path / 'v_val.npy', VECTORS)
    np.save(tmp_path / 'y.npy', LABELS)
    np.save(tmp_path / 'turned.npy', VECTORS.T)
    frame = pandas.DataFrame(VECTORS, columns=['a', 'b', 'c']).assign(y=LABELS)
    frame.to_csv(tmp_path / 'all.csv', index=False)
    pandas.Series(LABELS).to_csv(tmp_path / 'head.csv', index=False)
    frame.iloc[::-1].to_csv(tmp_path / 'counted.csv')
    frame.set_axis(['x', 'x', *NAMES[2:]]).to_csv(tmp_path / 'twice.csv')
    frame.set_axis([*NAMES[:1], 'x', *NAMES[2:]]).to_csv(tmp_path / 'named.csv')
    frame.reset_index().to_csv(tmp_path / 'index.csv')
    refused(
        tmp_path,
        r"`labels` .* same for all splits.* '?\{split\}",
        inputs=dict(v='v_{split}.npy'),
        split='val',
    )
    refused(
        tmp_path, r"takes the column 'y' too, which is `labels`", inputs=dict(v='all.csv'), labels='all.csv:y'
    )
    refused(tmp_path, r"takes the column 'y' too", inputs=dict(v='all.csv:1:'), labels='all.csv:-1')
    refused(tmp_path, r'first row of .*head\.csv was taken for data', labels='head.csv')
    refused(tmp_path, r'column for each sample: then transpose', inputs=dict(v='turned.npy'))
    named = dict(labels='index.csv:y')
    refused(tmp_path, 'names that only count', inputs=dict(v='counted.csv:a,b'), **named)
    refused(tmp_path, 'name a row twice', inputs=dict(v='twice.csv:a,b'), labels='named.csv:y')


def test_columns_may_have_a_second_axis_of_one(tmp_path):
    np.savez(
        tmp_path / 'x.npz',
        v=VECTORS,
        s=SEQUENCES,
        n=LENGTHS[:, None].astype(float),
        y=LABELS[:, None, None].astype(float),
        g=GROUPS[:, None],
        p=SPLITS[:, None],
        scores=VECTORS,
    )
    common = dict(data_root=str(tmp_path), split='train', groups='x.npz:g', splits='x.npz:p')
    inputs = dict(v='x.npz:v', s='x.npz:s')
    found = FeatureDataset(inputs, 'x.npz:y', lengths=dict(s='x.npz:n'), classes=3, **common)
    rows = np.flatnonzero(SPLITS == 'train')
    assert [int(item['labels']) for item in found] == LABELS[rows].tolist()
    assert [int(item['lengths']['s']) for item in found] == LENGTHS[rows].tolist()
    of_channel = dict(file='x.npz', key='scores', channels='1:2')
    scores = FeatureDataset(inputs, of_channel, target='regression', **common)
    assert torch.equal(torch.stack([item['labels'] for item in scores]), torch.from_numpy(VECTORS[rows, 1]))

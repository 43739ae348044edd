"""What a config may say of features, and what is refused before training."""

import pickle

import h5py
import numpy as np
import pandas
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.logging import MMLogger

from mmcggm.datasets import FeatureDataset
from mmcggm.datasets.features.dataset import FeatureDataset as Features
from mmcggm.datasets.features.splits import assign_by_fraction
from tests.formats.features import CHANNELS, ROWS, arrays, write, write_tables

SPLITS = ('train', 'val', 'test')
FRACTIONS = dict(train=0.5, val=0.2, test=0.3)


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('features')
    write(folder / 'all.npz', arrays())
    return folder


def dataset(root, **changes) -> Features:
    settings = dict(
        data_root=str(root),
        inputs=dict(left='all.npz:left', right='all.npz:right'),
        labels='all.npz:label',
        classes=3,
        split='train',
        splits='all.npz:split',
    )
    return FeatureDataset(**{**settings, **changes})


def test_a_missing_file_comes_with_how_to_get_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file '.*all\.npz'.* Ask the authors\.$"):
        dataset(tmp_path, obtain='Ask the authors.')


def test_an_item_is_the_row_of_the_files(root):
    content = arrays()
    found = dataset(root)
    rows = np.flatnonzero(content['split'] == 'train')
    assert len(found) == len(rows) and found.metainfo['channels'] == CHANNELS
    for place in (0, 5):
        item = found[place]
        assert item['labels'] == content['label'][rows[place]]
        for modality in CHANNELS:
            expected = torch.from_numpy(content[modality][rows[place]]).float()
            assert torch.equal(item['inputs'][modality], expected)
    assert dataset(root, indices=4)[3]['labels'] == found[3]['labels']


@pytest.mark.parametrize('kind', [str, bytes])
def test_labels_may_be_numbers_as_text(tmp_path, kind):
    content = dict(arrays(), label=arrays()['label'].astype(str))
    content['mood'] = np.linspace(-3, 3, len(content['label'])).astype(str)
    if kind is bytes:
        content |= {name: content[name].astype('S') for name in ('label', 'mood')}
    np.savez(tmp_path / 'all.npz', **content)
    found = dataset(tmp_path, split=None, splits=None)
    assert [int(item['labels']) for item in found] == arrays()['label'].tolist()
    moods = dataset(
        tmp_path, split=None, splits=None, labels='all.npz:mood', target='regression', classes=None
    )
    expected = np.linspace(-3, 3, len(moods), dtype=np.float32)
    assert np.allclose([float(item['labels']) for item in moods], expected)


def test_arrays_of_python_numbers_are_tables(tmp_path):
    content = dict(arrays(), left=pandas.DataFrame(arrays()['left']).astype(object).to_numpy())
    (tmp_path / 'all.pkl').write_bytes(pickle.dumps(content))
    inputs = {modality: f'all.pkl:{modality}' for modality in CHANNELS}
    found = dataset(tmp_path, inputs=inputs, labels='all.pkl:label', splits=None, split=None)
    assert np.allclose(np.stack([item['inputs']['left'] for item in found]), arrays()['left'])


@pytest.mark.parametrize('name', ['x.npy', 'x.npz', 'x.h5', 'x.mat', 'x.csv', 'x.pkl', 'x.parquet'])
@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'<!DOCTYPE html>\n<html>', 'is a web page'),
        (b'version https://git-lfs.github.com/spec/v1\noid', 'stands for a file in Git LFS'),
        (b'', 'is empty'),
    ],
)
def test_what_only_stands_for_a_file_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf'`inputs\.left`: .*{name} {message}'):
        dataset(tmp_path, inputs=dict(left=name))


@pytest.mark.parametrize('suffix', ['.npz', '.mat', '.h5', '.pt', '.safetensors', '.pkl'])
def test_every_format_holds_the_same(suffix, tmp_path):
    write(tmp_path / f'all{suffix}', arrays())
    inputs = {modality: f'all{suffix}:{modality}' for modality in CHANNELS}
    found = dataset(tmp_path, inputs=inputs, labels=f'all{suffix}:label', splits=FRACTIONS)
    rows = found.data_list
    for modality in CHANNELS:
        expected = arrays()[modality][rows].astype(np.float32)
        assert np.array_equal(np.stack([item['inputs'][modality] for item in found]), expected)


def test_tables_are_aligned_by_the_names_of_their_rows(tmp_path):
    write_tables(tmp_path)
    given = dict(
        inputs=dict(left='left_{split}.csv', right='right_{split}.csv'),
        labels='label_{split}.csv',
        splits=None,
    )
    assert len(dataset(tmp_path, **given)) == 24
    ordered = [item['inputs']['right'] for item in dataset(tmp_path, **given)]
    frame = pandas.read_csv(tmp_path / 'right_train.csv', index_col=0)
    frame.iloc[::-1].to_csv(tmp_path / 'right_train.csv')
    matched = [item['inputs']['right'] for item in dataset(tmp_path, **given)]
    assert torch.equal(torch.stack(matched), torch.stack(ordered))
    frame.iloc[1:].to_csv(tmp_path / 'right_train.csv')
    with pytest.raises(ValueError, match=r"lacks 1 of the 24 rows .* among them \['row 0'\]"):
        dataset(tmp_path, **given)


@given(seed=st.integers(0, 10), groups=st.integers(3, 12), rows=st.integers(30, 60))
@settings(max_examples=25, deadline=None)
def test_fractions_share_the_rows_and_keep_groups_whole(tmp_path_factory, seed, groups, rows):
    folder = tmp_path_factory.mktemp('groups')
    content = arrays(rows)
    content['subject'] = np.random.default_rng(seed).permutation(np.arange(rows) % groups)
    write(folder / 'all.npz', content)
    parts = {
        split: dataset(folder, split=split, splits=FRACTIONS, seed=seed, groups='all.npz:subject')
        for split in SPLITS
    }
    assert sorted(np.concatenate([part.data_list for part in parts.values()])) == list(range(rows))
    names = [part.group_names for part in parts.values()]
    assert sum(map(len, names)) == len(set.union(*names)) == groups


def test_fractions_are_alike_in_classes_and_follow_the_seed(root):
    parts = [dataset(root, split=split, splits=FRACTIONS) for split in SPLITS]
    assert [len(part) for part in parts] == [30, 12, 18]
    for part in parts:
        counts = np.bincount([int(item['labels']) for item in part])
        assert counts.max() - counts.min() <= 1
    again = dataset(root, splits=FRACTIONS)
    assert np.array_equal(again.data_list, parts[0].data_list)
    assert not np.array_equal(dataset(root, splits=FRACTIONS, seed=1).data_list, parts[0].data_list)


@given(order=st.permutations(SPLITS), seed=st.integers(0, 5))
@settings(max_examples=12, deadline=None)
def test_the_order_of_the_fractions_does_not_count(order, seed):
    """MMEngine sorts names when it saves a config: a test with the saved one must test the same rows."""
    strata = np.arange(60) % 3
    drawn = [
        assign_by_fraction({split: FRACTIONS[split] for split in names}, 60, seed, strata)
        for names in (SPLITS, order)
    ]
    assert np.array_equal(*drawn)


@given(seed=st.integers(0, 1000), shift=st.floats(-1000, 1000), train=st.integers(2, 50))
@settings(max_examples=25, deadline=None)
def test_statistics_are_of_the_training_split_alone(tmp_path_factory, seed, shift, train):
    """Whatever the other splits hold, mean and deviation stay: a leak would move them."""
    folder = tmp_path_factory.mktemp('statistics')
    content = arrays(seed=seed)
    content['split'] = np.where(np.arange(ROWS) < train, 'train', 'test')
    write(folder / 'all.npz', content)
    mean, std = dataset(folder).channel_statistics('left')
    expected = content['left'][:train]
    assert np.allclose(mean, expected.mean(0), atol=1e-5) and np.allclose(std, expected.std(0), atol=1e-5)
    content['left'][train:] = content['left'][train:] * 7 + shift
    write(folder / 'all.npz', content)
    moved = dataset(folder).channel_statistics('left')
    assert np.array_equal(mean, moved[0]) and np.array_equal(std, moved[1])


@given(
    lengths=st.lists(st.integers(1, 6), min_size=6, max_size=20),
    at_start=st.booleans(),
    given_lengths=st.booleans(),
    limit=st.none() | st.integers(1, 6),
)
@settings(max_examples=40, deadline=None)
def test_padding_at_either_end_never_counts(tmp_path_factory, lengths, at_start, given_lengths, limit):
    folder = tmp_path_factory.mktemp('sequences')
    draw = np.random.default_rng(len(lengths))
    sequences = [draw.uniform(1, 2, (length, 2)).astype(np.float32) for length in lengths]
    padded = np.zeros((len(lengths), 6, 2), np.float32)
    for row, sequence in zip(padded, sequences, strict=True):
        row[slice(6 - len(sequence), None) if at_start else slice(0, len(sequence))] = sequence
    ragged = np.empty(len(lengths), object)
    ragged[:] = sequences
    (folder / 'ragged.pkl').write_bytes(pickle.dumps(ragged))
    content = dict(x=padded, n=np.array(lengths), y=np.zeros(len(lengths), int))
    write(folder / 'all.npz', content)
    settings = dict(labels='all.npz:y', split=None, splits=None, max_length=limit, classes=2)
    known = dict(lengths=dict(x='all.npz:n')) if given_lengths else dict(padding=['x'])
    of_padded = dataset(folder, inputs=dict(x='all.npz:x'), **known, **settings)
    of_ragged = dataset(folder, inputs=dict(x='ragged.pkl'), **settings)
    for a, b, sequence in zip(of_padded, of_ragged, sequences, strict=True):
        kept = sequence[:limit]
        for item in (a, b):
            # Sequences that are all of one length have no padding.
            assert item.get('lengths', dict(x=len(item['inputs']['x'])))['x'] == len(kept)
            assert np.array_equal(item['inputs']['x'][: len(kept)], kept)
            assert not item['inputs']['x'][len(kept) :].any()
    tokens = np.concatenate([sequence[:limit] for sequence in sequences]).astype(np.float64)
    for found in (of_padded, of_ragged):
        mean, std = found.channel_statistics('x')
        assert np.allclose(mean, tokens.mean(0), atol=1e-5)
        assert np.allclose(std, np.where(tokens.std(0) < 1e-12, 1, tokens.std(0)), atol=1e-4)


def test_dialogues_become_utterances_and_stay_together(tmp_path):
    content = arrays()
    mask = np.arange(5) < np.random.default_rng(0).integers(1, 6, 12)[:, None]
    shaped = {name: content[name].reshape(12, 5, *content[name].shape[1:]) for name in (*CHANNELS, 'label')}
    write(tmp_path / 'all.npz', {**shaped, 'mask': mask, 'count': mask.sum(1)})
    lists = {name: [row[keep] for row, keep in zip(shaped[name], mask, strict=True)] for name in shaped}
    (tmp_path / 'lists.pkl').write_bytes(pickle.dumps(lists))
    of_masks = dataset(tmp_path, dialogues='all.npz:mask', split=None, splits=None)
    of_counts = dataset(tmp_path, dialogues='all.npz:count', split=None, splits=None)
    of_lists = dataset(
        tmp_path,
        inputs={m: f'lists.pkl:{m}' for m in CHANNELS},
        labels='lists.pkl:label',
        dialogues='all.npz:count',
        split=None,
        splits=None,
    )
    assert len(of_masks) == mask.sum()
    for items in zip(of_masks, of_counts, of_lists, strict=True):
        assert len({int(item['labels']) for item in items}) == 1
        assert all(torch.equal(item['inputs']['left'], items[0]['inputs']['left']) for item in items)
    parts = [dataset(tmp_path, dialogues='all.npz:mask', split=s, splits=FRACTIONS) for s in SPLITS]
    assert sum(len(part.group_names) for part in parts) == 12


def test_splits_of_dialogues_name_or_list_dialogues(tmp_path):
    content = arrays()
    mask = np.arange(5) < np.random.default_rng(0).integers(1, 6, 12)[:, None]
    mask[-1] = False  # the last one has no utterance that counts
    shaped = {name: content[name].reshape(12, 5, *content[name].shape[1:]) for name in (*CHANNELS, 'label')}
    names = np.array([*['train'] * 5, *['val'] * 3, *['test'] * 4])
    places = {split: np.flatnonzero(names == split) for split in SPLITS}
    write(tmp_path / 'all.npz', {**shaped, 'mask': mask, 'names': names, **places})
    of_rows = np.repeat(names, mask.sum(1))
    for splits in ('all.npz:names', 'all.npz:{split}'):
        for split in SPLITS:
            part = dataset(tmp_path, dialogues='all.npz:mask', split=split, splits=splits)
            assert part.data_list.tolist() == np.flatnonzero(of_rows == split).tolist()
    write(tmp_path / 'all.npz', {**shaped, 'mask': mask, 'names': names[1:], 'speaker': names[1:]})
    with pytest.raises(ValueError, match='split of each of 12 dialogues'):
        dataset(tmp_path, dialogues='all.npz:mask', split='val', splits='all.npz:names')
    with pytest.raises(ValueError, match='group of each of 12 dialogues'):
        dataset(tmp_path, dialogues='all.npz:mask', groups='all.npz:speaker', split='val', splits=FRACTIONS)


@pytest.mark.parametrize(
    ('mask', 'message'),
    [
        (np.arange(5) >= np.arange(12)[:, None] % 4 + 1, 'its mask marks the padding'),
        (np.full((12, 5), 3), 'must be a mask .* from 3 to 3'),
        (np.arange(12) - 1, 'whole numbers .* from -1 to 10'),
        (np.arange(12) + 0.5, 'whole numbers'),
        (np.ones((12, 5, 1)), r'of shape \(12, 5, 1\)'),
        (np.full(12, 'all'), 'must be a mask'),
    ],
)
def test_what_marks_no_utterances_is_refused(tmp_path, mask, message):
    counts = np.arange(5) < np.arange(12)[:, None] % 4 + 1
    content = dict(
        left=counts[..., None] * np.ones(5), right=np.ones((12, 5, 3)), label=np.zeros((12, 5), int)
    )
    write(tmp_path / 'all.npz', {**content, 'mask': mask, 'counts': counts.sum(1).astype(float)})
    keys = dict(split=None, splits=None)
    assert len(dataset(tmp_path, dialogues='all.npz:counts', **keys)) == counts.sum()
    with pytest.raises(ValueError, match=message):
        dataset(tmp_path, dialogues='all.npz:mask', **keys)


def test_padding_that_nobody_names_is_told(tmp_path, caplog, monkeypatch):
    sequences = np.ones((60, 4, 2))
    sequences[::2, 3] = 0
    write(tmp_path / 'all.npz', {**arrays(), 'left': sequences})
    monkeypatch.setattr(MMLogger.get_current_instance(), 'handlers', [caplog.handler])
    dataset(tmp_path)
    assert '30 of 60 sequences begin or end with rows of zeros' in caplog.text
    caplog.clear()
    dataset(tmp_path, padding=['left'])
    assert 'begin or end' not in caplog.text


def test_files_that_call_a_split_otherwise_are_told_to_set_it(tmp_path):
    content = arrays()
    write(tmp_path / 'all.npz', {f'{name}_valid': content[name] for name in (*CHANNELS, 'label')})
    keys = dict(inputs={m: f'all.npz:{m}_{{split}}' for m in CHANNELS}, labels='all.npz:label_{split}')
    with pytest.raises(ValueError, match=r"has no 'left_val'.*set it to what the files call it"):
        dataset(tmp_path, **keys, split='val', splits=None)
    assert len(dataset(tmp_path, **keys, split='valid', splits=None)) == 60
    files = dict(inputs={m: f'{m}_{{split}}.npy' for m in CHANNELS}, labels='all.npz:label_{split}')
    with pytest.raises(FileNotFoundError, match='set it to what the files call it'):
        dataset(tmp_path, **files, split='val', splits=None)


def test_a_part_of_the_channels_is_a_modality(root):
    whole = dict(file='all.npz', key='left')
    found = dataset(root, inputs=dict(a=dict(whole, channels='0:2'), b=dict(whole, channels='2:')))
    assert found.metainfo['channels'] == dict(a=2, b=3)
    row = arrays()['left'][found.data_list[0]].astype(np.float32)
    assert np.array_equal(np.concatenate([found[0]['inputs'][m] for m in 'ab']), row)


def test_large_arrays_stay_in_their_file_and_workers_share_them(tmp_path):
    for name, values in arrays().items():
        np.save(tmp_path / f'{name}.npy', values)
    with h5py.File(tmp_path / 'all.h5', 'w') as file:
        file['right'] = arrays()['right']
    found = dataset(
        tmp_path, inputs=dict(left='left.npy', right='all.h5:right'), labels='label.npy', splits='split.npy'
    )
    assert len(pickle.dumps(found)) < 20_000
    again = pickle.loads(pickle.dumps(found))
    assert torch.equal(again[3]['inputs']['right'], found[3]['inputs']['right'])


def broken(values, row, value):
    values = values.copy()
    values[row] = value
    return values


CONTENT = arrays()
WRONG = dict(
    no_inputs=(dict(inputs={}), '`inputs` must name'),
    no_file=(dict(inputs=dict(left='none.npz:left')), r"`inputs\.left`: there is no file .*'all\.npz'"),
    no_folder=(dict(data_root='/none'), "no folder '/none' either: check `data_root`"),
    no_key=(dict(inputs=dict(left='all.npz:middle')), r"`inputs\.left`: .* has no 'middle'; it has 'left'"),
    no_key_of_many=(dict(inputs=dict(left='all.npz')), r"`inputs\.left` must name an array.*it has 'left'"),
    unknown_suffix=(
        dict(inputs=dict(left='all.xlsx')),
        r"`inputs\.left` is 'all\.xlsx', which ends in none of",
    ),
    unknown_setting=(dict(inputs=dict(left=dict(path='all.npz'))), r'`inputs\.left` must be'),
    bad_channels=(
        dict(inputs=dict(left=dict(file='all.npz', key='left', channels='a'))),
        r'`inputs\.left\.channels`',
    ),
    no_channels_left=(
        dict(inputs=dict(left=dict(file='all.npz', key='left', channels='9:'))),
        'no channel is left',
    ),
    no_labels=(dict(labels='all.npz:target'), r"`labels`: .* has no 'target'"),
    no_classes=(dict(classes=None), r'`classes` must say .* It holds \[0, 1, 2\]'),
    one_class=(dict(classes=1), '`classes` must name two or more'),
    too_few_classes=(dict(classes=2), r'from 0 to 1, .* row 2 has 2'),
    other_names=(dict(classes=('a', 'b', 'c')), r'holds 0 in row 0, which `classes` does not name'),
    name_twice=(dict(classes=(0, 1, 1)), '`classes` names one twice'),
    text_as_numbers=(
        dict(labels='all.npz:split', classes=3),
        r"holds 'train', no number.*list them in `classes`",
    ),
    unknown_target=(dict(target='ordinal'), '`target` must be one of'),
    classes_of_regression=(dict(target='regression'), "`classes` is for `target='class'`"),
    multilabel_of_classes=(dict(target='multilabel'), r'needs \(N, K\) of 0 and 1'),
    multilabel_of_numbers=(
        dict(target='multilabel', labels='all.npz:left', classes=None),
        'must be 0 or 1, but row 0',
    ),
    text_features=(dict(inputs=dict(left='all.npz:split')), 'no real numbers'),
    unknown_split=(dict(split='valid'), r"names no row 'valid'\. Did you mean 'val'"),
    no_split=(dict(splits=None), r"`split` is 'train', but nothing says which rows"),
    split_missing=(dict(split=None, inputs=dict(left='{split}.npz:left')), '`split` must say which'),
    split_twice=(dict(inputs=dict(left='all.npz:left', right='{split}.npz:right')), 'no file'),
    fractions_of_others=(
        dict(splits=dict(fit=0.5, test=0.5)),
        r"`split` is 'train', but `splits` are \['fit', 'test'\]",
    ),
    fractions_beyond_one=(dict(splits=dict(train=0.9, test=0.9)), 'together 1'),
    fractions_negative=(dict(splits=dict(train=1.5, test=-0.5)), 'positive and together 1'),
    splits_of_other_shape=(dict(splits='all.npz:left'), r'must name the split of each of 60 rows'),
    rows_of_text=(dict(splits='all.npz:sp{split}it', split='l'), 'must list rows from 0 to 59'),
    no_mapping=(dict(inputs='all.npz'), r"`inputs` must name the source .* got 'all\.npz'"),
    no_token=(dict(max_length=0), r'`max_length` must be None or a whole number from 1 on'),
    unknown_lengths=(dict(lengths=dict(audio='all.npz:label')), r"`lengths` names \['audio'\]"),
    unknown_padding=(dict(padding=['audio']), r"`padding` names \['audio'\]"),
    padding_of_vectors=(dict(padding=['left']), r'must hold padded sequences \(N, L, C\).*`padding`'),
    groups_of_others=(dict(groups='all.npz:none'), r"`groups`: .* has no 'none'"),
    few_groups=(dict(splits=FRACTIONS, groups='two.npy'), '3 splits of 2 groups'),
    groups_in_two_splits=(
        dict(groups='mixed.npy'),
        r'10 groups are in more than one split|groups are in more than one',
    ),
    too_few_rows=(dict(labels='short.npy'), r"must have as many rows each, but have .*'labels': 59"),
    nan=(
        dict(inputs=dict(left='nan.npy')),
        r'`inputs\.left` .*1 values that are missing, infinite .* rows \[7\]',
    ),
    beyond_float32=(dict(inputs=dict(left='huge.npy')), r'beyond float32, in rows \[3\]'),
    nan_label=(dict(labels='nanlabel.npy'), r'missing or infinite in 1 rows, among them \[4\]'),
    half_label=(dict(labels='half.npy'), 'row 5 has 0.5'),
    four_axes=(dict(inputs=dict(left='four.npy')), r'must be vectors \(N, C\) or sequences'),
    classes_of_text=(
        dict(classes='abc'),
        '`classes` must be a number or a list of names in order, got the str',
    ),
    classes_of_a_set=(dict(classes={0, 1, 2}), 'in order, got the set'),
    lengths_of_none=(dict(lengths='all.npz:label'), '`lengths` must name the source of each modality'),
    single_value=(dict(labels='single.npy'), '`labels` must name an array, but .* is a single value'),
    groups_of_columns=(
        dict(groups='all.npz:left'),
        r'`groups` must have one value for each row, .*\(60, 5\)',
    ),
    groups_missing=(dict(groups='nanlabel.npy'), r'`groups` is missing in 1 rows, among them \[4\]'),
    channels_of_a_column=(
        dict(labels=dict(file='all.npz', key='label', channels='0:1')),
        r'`labels\.channels` is of arrays \(N, C\)',
    ),
    mask_of_numbers=(dict(splits='mask_{split}.npy'), 'If it is a mask, save it as bool'),
    rows_from_one=(dict(splits='matlab_{split}.npy'), 'row 60 of 60. If it counts from 1'),
    words_of_features=(
        dict(inputs=dict(left='all.npz:split')),
        "holds text such as 'train', no real numbers",
    ),
    utterances_of_vectors=(dict(dialogues=True), r'`dialogues` is True, but `labels` has shape \(60,\)'),
    dialogues_of_rows=(dict(dialogues='short.npy'), 'has 60 dialogues, but the mask 59'),
)


@pytest.fixture(scope='module')
def wrong_root(root):
    np.save(root / 'two.npy', np.arange(ROWS) % 2)
    np.save(root / 'mixed.npy', np.arange(ROWS) % 10)
    np.save(root / 'short.npy', CONTENT['label'][:-1])
    np.save(root / 'nan.npy', broken(CONTENT['left'], (7, 1), np.nan))
    np.save(root / 'huge.npy', broken(CONTENT['left'], (3, 1), 1e300))
    np.save(root / 'nanlabel.npy', broken(CONTENT['label'].astype(float), 4, np.nan))
    np.save(root / 'half.npy', broken(CONTENT['label'].astype(float), 5, 0.5))
    np.save(root / 'four.npy', np.zeros((ROWS, 2, 2, 2)))
    np.save(root / 'single.npy', np.array(3))
    np.save(root / 'mask_train.npy', (CONTENT['label'] == 0).astype(int))
    np.save(root / 'matlab_train.npy', np.arange(1, ROWS + 1))
    return root


@pytest.mark.parametrize('case', WRONG)
def test_a_wrong_setting_is_named(case, wrong_root):
    changes, message = WRONG[case]
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        dataset(wrong_root, **changes)


def test_a_forged_pickle_is_refused_and_not_run(tmp_path, monkeypatch):
    class Command:
        def __reduce__(self):
            return (__import__('os').system, (f'touch {tmp_path}/ran',))

    for name, content in (('all.pkl', Command()), ('left.npy', None)):
        if content is not None:
            (tmp_path / name).write_bytes(pickle.dumps(content))
        else:
            np.save(tmp_path / name, np.array([Command()], object), allow_pickle=True)
    torch.save(Command(), tmp_path / 'all.pt')
    for source in ('all.pkl', 'left.npy', 'all.pt'):
        with pytest.raises(ValueError, match=r'system'):
            dataset(tmp_path, inputs=dict(left=source))
    assert not (tmp_path / 'ran').exists()

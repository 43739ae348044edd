"""Arrays are found wherever files keep them, and are what was written."""

import pickle

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse
import torch

from mmcggm.datasets.readers.source import Source
from mmcggm.datasets.readers.sources import read_source

NAMES = ['v9', 'v10', 'b', '007']
ROWS = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)


def read(root, value, split=None):
    return read_source(Source.of(value, root, split, 'inputs.a'))


def cells(values, shape=None):
    found = np.empty(len(values), object)
    found[:] = values
    return found if shape is None else found.reshape(shape)


def write_mapping(root):
    (root / 'x.pkl').write_bytes(pickle.dumps(dict(zip(NAMES, ROWS, strict=True))))
    return 'x.pkl:*'


def write_nested_mapping(root):
    content = {name: dict(audio=row, label=0) for name, row in zip(NAMES, ROWS, strict=True)}
    torch.save(
        dict(data={k: dict(v, audio=torch.tensor(v['audio'])) for k, v in content.items()}), root / 'x.pt'
    )
    return 'x.pt:data/*/audio'


def write_tuple_of_mappings(root):
    content = ({}, dict(zip(NAMES, [row.tolist() for row in ROWS], strict=True)))
    (root / 'x.pkl').write_bytes(pickle.dumps(content, 2))
    return 'x.pkl:1/*'


def write_archive(root):
    np.savez(root / 'x.npz', **dict(zip(NAMES, ROWS, strict=True)))
    return 'x.npz:*'


def write_groups(root):
    with h5py.File(root / 'x.h5', 'w') as file:
        for name, row in zip(NAMES, ROWS, strict=True):
            file[f'data/{name}/features'], file[f'data/{name}/intervals'] = row, [0, 1]
    return 'x.h5:data/*/features'


def write_files(root):
    (root / 'audio').mkdir()
    for name, row in zip(NAMES, ROWS, strict=True):
        np.save(root / 'audio' / f'{name}.npy', row)
    return 'audio/*.npy'


def write_folders(root):
    for name, row in zip(NAMES, ROWS, strict=True):
        (root / name).mkdir()
        np.savez(root / name / 'features.npz', audio=row, text=row[:1])
    return '*/features.npz:audio'


@pytest.mark.parametrize(
    'writer',
    [
        write_mapping,
        write_nested_mapping,
        write_tuple_of_mappings,
        write_archive,
        write_groups,
        write_files,
        write_folders,
    ],
)
def test_a_star_stands_for_the_name_of_a_sample(tmp_path, writer):
    found = read(tmp_path, writer(tmp_path))
    assert found.by_name and sorted(found.names.tolist()) == sorted(NAMES)
    for name, row in zip(found.names, found.values, strict=True):
        assert np.array_equal(row, ROWS[NAMES.index(name)])


@pytest.mark.parametrize('kind', ['pkl', 'pt'])
def test_a_star_is_each_entry_of_a_list(tmp_path, kind):
    records = [dict(x=row, y=int(place)) for place, row in enumerate(ROWS)]
    pairs = [(row, int(place)) for place, row in enumerate(ROWS)]
    if kind == 'pkl':
        (tmp_path / 'x.pkl').write_bytes(pickle.dumps(dict(records=records, pairs=pairs)))
    else:
        torch.save(
            dict(
                records=[dict(r, x=torch.tensor(r['x'])) for r in records],
                pairs=[(torch.tensor(x), y) for x, y in pairs],
            ),
            tmp_path / 'x.pt',
        )
    for key in ('records/*/x', 'pairs/*/0'):
        found = read(tmp_path, f'x.{kind}:{key}')
        assert found.names is None and np.array_equal(found.values, ROWS)
    for key in ('records/*/y', 'pairs/*/1'):
        assert read(tmp_path, f'x.{kind}:{key}').values.tolist() == [0, 1, 2, 3]
    with pytest.raises(ValueError, match=r"has no 'x'; it has 4 entries.*'\*/x'"):
        read(tmp_path, f'x.{kind}:records/x')
    with pytest.raises(ValueError, match=r"'records/0', has no 'z'; it has 'x', 'y'"):
        read(tmp_path, f'x.{kind}:records/*/z')


def test_names_stand_beside_the_array(tmp_path):
    np.savez(tmp_path / 'x.npz', x=ROWS, id=np.array(NAMES, 'S'))
    found = read(tmp_path, dict(file='x.npz', key='x', names='id'))
    assert found.names.tolist() == NAMES and not found.by_name


@pytest.mark.parametrize('suffix', ['npy', 'npz', 'pkl', 'h5', 'mat'])
def test_text_is_text_in_every_kind_of_file(tmp_path, suffix):
    words, path = ['café', 'ox', 'horse'], tmp_path / f'x.{suffix}'
    coded = np.array([word.encode() for word in words])
    if suffix == 'npy':
        np.save(path, coded)
    elif suffix == 'npz':
        np.savez(path, x=coded)
    elif suffix == 'pkl':
        path.write_bytes(pickle.dumps([word.encode() for word in words]))
    elif suffix == 'h5':
        with h5py.File(path, 'w') as file:
            file['x'] = coded
    else:
        scipy.io.savemat(path, dict(x=np.array(words)))  # which fills up all to the longest
    assert read(tmp_path, path.name).values.tolist() == words


def test_other_kinds_of_arrays_are_read(tmp_path):
    ragged = [np.ones((length, 2)) for length in (2, 1, 3)]
    np.savez(tmp_path / 'x.npz', ragged=cells(ragged))
    assert [value.shape for value in read(tmp_path, 'x.npz:ragged').values] == [(2, 2), (1, 2), (3, 2)]
    scipy.io.savemat(
        tmp_path / 'x.mat', dict(x=scipy.sparse.csc_matrix(ROWS), cell=cells(['a', 'bc'], (2, 1)))
    )
    assert np.array_equal(read(tmp_path, 'x.mat:x').values, ROWS)
    assert read(tmp_path, 'x.mat:cell').values.ravel().tolist() == ['a', 'bc']
    torch.save(torch.tensor(ROWS).to_sparse(), tmp_path / 'x.pt')
    assert np.array_equal(read(tmp_path, 'x.pt').values, ROWS)
    torch.save(dict(x=torch.tensor(ROWS)), tmp_path / 'torch.pkl')
    assert np.array_equal(read(tmp_path, 'torch.pkl:x').values, ROWS)
    with h5py.File(tmp_path / 'x.h5', 'w') as file:
        file.create_dataset('x', (2,), h5py.vlen_dtype('f4'))[...] = cells([np.ones(2), np.ones(3)])
    assert [value.shape for value in read(tmp_path, 'x.h5:x').values] == [(2,), (3,)]


def test_a_forged_member_of_an_archive_is_refused_and_not_run(tmp_path):
    class Command:
        def __reduce__(self):
            return (__import__('os').system, (f'touch {tmp_path}/ran',))

    np.savez(tmp_path / 'x.npz', x=cells([Command(), 1]))
    with pytest.raises(ValueError, match='system'):
        read(tmp_path, 'x.npz:x')
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize(
    ('value', 'message'),
    [
        ('x.npy:*', 'must be the entries of a mapping or a list, but .* has a'),
        ('none/*.npy', r'no file .*none/\*\.npy'),
        ('*/*.npy', r"may hold one '\*'"),
        ('none.pkl', 'holds a NoneType in entry 1 of 2'),
        ('deep.pkl', 'in entry 0 arrays that differ in length themselves'),
        ('map.pkl', r"has 'a', 'b'\. If each is a sample, end the key with '\*'"),
        (dict(file='x.npy', header=True), '`inputs.a.header` is of tables'),
        (dict(file='x/*.npy', names='id'), r"'\*' in 'x/\*\.npy' names the samples already"),
        (dict(file='x.npy', names=3), '`inputs.a` must be'),
        ('x.npz:bad', 'bytes that are no text in UTF-8'),
    ],
)
def test_what_can_not_be_read_is_named(tmp_path, value, message):
    np.save(tmp_path / 'x.npy', np.array(3.0))
    np.savez(tmp_path / 'x.npz', bad=np.array([b'\xff']))
    contents = dict(none=[1, None], deep=[[[1], [1, 2]], [[1]]], map=dict(a=1, b=2))
    for name, content in contents.items():
        (tmp_path / f'{name}.pkl').write_bytes(pickle.dumps(content))
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        read(tmp_path, value)

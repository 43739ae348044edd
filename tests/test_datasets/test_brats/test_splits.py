import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmcggm.datasets.brats.patients import Patients, patient_of
from mmcggm.datasets.brats.splits import KEYS, SPLITS, assign, read_splits, update_splits

FRACTIONS = (0.8, 0.1, 0.1)
cases = st.lists(
    st.one_of(
        st.builds('BraTS-GLI-{:05d}-{:03d}'.format, st.integers(0, 25), st.integers(0, 3)),
        st.builds('BraTS2021_{:05d}'.format, st.integers(0, 25)),
    ),
    unique=True,
    max_size=40,
)
shares = st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(1, 5)).map(
    lambda parts: tuple(part / sum(parts) for part in parts)
)
seeds = st.integers(0, 2**31)


def patients(members):
    return {patient_of(case) for case in members}


@given(cases=cases, fractions=shares, seed=seeds)
def test_splits_are_disjoint_complete_and_by_patient(cases, fractions, seed):
    splits = assign({}, cases, fractions, seed)
    assert sorted(case for members in splits.values() for case in members) == sorted(cases)
    by_patient = [patients(members) for members in splits.values()]
    assert sum(map(len, by_patient)) == len(patients(cases))
    for members, share in zip(splits.values(), fractions, strict=True):
        assert share > 0 or not members


@given(cases=cases, seed=seeds, data=st.data())
def test_splits_depend_on_the_seed_and_the_set_of_cases_alone(cases, seed, data):
    shuffled = data.draw(st.permutations(cases))
    assert assign({}, cases, FRACTIONS, seed) == assign({}, shuffled, FRACTIONS, seed)


@given(old=cases, new=cases, seed=seeds, other_seed=seeds)
def test_added_cases_move_no_old_one(old, new, seed, other_seed):
    before = assign({}, old, FRACTIONS, seed)
    after = assign(before, [*old, *new], FRACTIONS, other_seed)
    for split in SPLITS:
        assert set(before[split]) <= set(after[split])
    assert sorted(case for members in after.values() for case in members) == sorted({*old, *new})
    by_patient = [patients(members) for members in after.values()]
    assert sum(map(len, by_patient)) == len(patients([*old, *new]))


@given(cases=cases, seed=seeds)
def test_no_split_is_empty_that_could_be_filled(cases, seed):
    sizes = [len(members) for members in assign({}, cases, FRACTIONS, seed).values()]
    filled = min(len(patients(cases)), len(SPLITS))
    assert all(sizes[:filled]) and not any(sizes[filled:])


@given(seed=seeds)
def test_shares_are_kept(seed):
    names = [f'BraTS2021_{index:05d}' for index in range(100)]
    assert [len(members) for members in assign({}, names, FRACTIONS, seed).values()] == [80, 10, 10]


def test_seeds_differ():
    names = [f'BraTS2021_{index:05d}' for index in range(20)]
    assert len({str(assign({}, names, FRACTIONS, seed)) for seed in range(5)}) > 1


@pytest.mark.parametrize('fractions', [(0.5, 0.4, 0.2), (1.2, -0.1, -0.1), (0.5, 0.5)])
def test_fractions_must_be_shares_of_one(fractions):
    with pytest.raises(ValueError, match='--split'):
        assign({}, ['a'], fractions, 0)


def test_the_file_has_one_case_a_line(tmp_path):
    path = tmp_path / 'splits.json'
    assert update_splits(path, ['a', 'b', 'c'], ['d'], FRACTIONS, 7) == ['a', 'b', 'c', 'd']
    lines = [line.strip(' ,"') for line in path.read_text().splitlines()]
    assert all(lines.count(case) == 1 for case in 'abcd')
    assert list(json.loads(path.read_text())) == ['seed', *KEYS, 'patients', 'same_scans']
    splits = read_splits(path)
    assert splits['seed'] == 7 and splits['unlabelled'] == ['d']
    assert sorted(len(splits[split]) for split in SPLITS) == [1, 1, 1]


def test_an_edited_file_is_kept_and_new_cases_are_added(tmp_path):
    path = tmp_path / 'splits.json'
    edited = '{"train": ["c"], "val": ["b"],\n "test": ["a"]}'
    path.write_text(edited)
    assert update_splits(path, ['a', 'b'], [], FRACTIONS, 0) == []
    assert path.read_text() == edited
    assert update_splits(path, ['a', 'b', 'e'], ['f'], FRACTIONS, 3) == ['e', 'f']
    cases = dict(train=['c', 'e'], val=['b'], test=['a'], unlabelled=['f'])
    assert read_splits(path) == dict(seed=3, **cases, patients=Patients())


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        ('{"train": [}', 'not valid JSON'),
        ('[]', 'must be an object'),
        ('{"train": [], "val": []}', "'test'"),
        ('{"train": [], "val": [], "test": [], "tset": []}', "'test'"),
        ('{"train": "a", "val": [], "test": []}', "'train' must be a list"),
        ('{"train": [1], "val": [], "test": []}', "'train' must be a list"),
        ('{"train": ["a"], "val": ["a"], "test": []}', "'a' stands in 'train' and again in 'val'"),
        ('{"train": ["../a"], "val": [], "test": []}', "'train': '../a' cannot be the id of a case"),
        ('{"train": [], "val": [], "test": [], "patients": 3}', "'patients' must be 'names'"),
        (
            '{"train": ["a"], "val": ["b"], "test": [], "same_scans": [["a", "b"]]}',
            "'a' and 'b', which are one scan",
        ),
        (
            '{"train": ["BraTS-GLI-00001-000"], "val": [], "test": ["BraTS-GLI-00001-001"]}',
            "patient 'BraTS-GLI-00001' has cases in 'train' and in 'test'",
        ),
    ],
)
def test_a_malformed_file_is_named_and_kept(tmp_path, content, message):
    path = tmp_path / 'splits.json'
    path.write_text(content)
    with pytest.raises(ValueError, match=message) as error:
        update_splits(path, ['z'], [], FRACTIONS, 0)
    assert str(path) in str(error.value)
    assert path.read_text() == content


def test_removed_cases_leave_the_file_and_the_others_stay(tmp_path):
    path = tmp_path / 'splits.json'
    update_splits(path, ['a', 'b', 'c', 'd'], ['e'], FRACTIONS, 0)
    before = read_splits(path)
    assert update_splits(path, ['c', 'd'], [], FRACTIONS, 0, removed={'a', 'e'}) == []
    after = read_splits(path)
    assert after == {
        key: [case for case in value if case not in 'ae'] if isinstance(value, list) else value
        for key, value in before.items()
    }


def test_how_patients_are_told_is_kept(tmp_path):
    path = tmp_path / 'splits.json'
    patients = Patients('[lr](.)', same_scans=[['l1', 'l2']])
    update_splits(path, ['l1', 'r1', 'l2', 'r3'], [], FRACTIONS, 0, patients)
    assert read_splits(path)['patients'] == patients
    (split,) = {split for split in SPLITS for case in read_splits(path)[split] if case in ('l1', 'r1', 'l2')}
    content = path.read_text()
    with pytest.raises(ValueError, match='keep a patient in one split'):
        update_splits(path, ['l1', 'r1', 'l2', 'r3'], [], FRACTIONS, 0, Patients('(.)'))
    assert path.read_text() == content
    update_splits(path, ['l1', 'r1', 'l2', 'r3', 'r2'], [], FRACTIONS, 0)
    assert 'r2' in read_splits(path)[split]


def test_splits_that_the_names_contradict_are_kept_by_a_pattern(tmp_path):
    path = tmp_path / 'splits.json'
    path.write_text('{"train": ["Site_00001_1"], "val": ["Site_00001_2"], "test": []}')
    with pytest.raises(ValueError, match="patient 'Site_00001' has cases in 'train' and in 'val'"):
        update_splits(path, ['Site_00001_3'], [], FRACTIONS, 0)
    assert update_splits(path, ['Site_00001_3'], [], FRACTIONS, 0, Patients('(.+)')) == ['Site_00001_3']
    assert read_splits(path)['test'] == ['Site_00001_3']

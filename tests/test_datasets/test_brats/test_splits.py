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


@pytest.mark.parametrize(
    ('case', 'patient'),
    [
        ('BraTS-GLI-00001-000', 'BraTS-GLI-00001'),
        ('BraTS-MET-00012-101', 'BraTS-MET-00012'),
        ('BraTS2021_00001', 'BraTS2021_00001'),
        ('BraTS20_Training_001', 'BraTS20_Training_001'),
        ('TCGA-FG-6692', 'TCGA-FG-6692'),
    ],
)
def test_a_time_point_is_no_part_of_the_patient(case, patient):
    assert patient_of(case) == patient


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

"""Folds of a store's cases: what is held out once, by whole patients, whatever their number."""

import json
import shutil
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmcggm.datasets import BraTSDataset
from mmcggm.datasets.brats.folds import fold_splits, foldable_cases
from mmcggm.datasets.brats.patients import Patients
from mmcggm.datasets.brats.splits import read_splits, splits_text
from mmcggm.datasets.brats.volume_store import StoredCase, case_path

visits = st.lists(st.integers(1, 4), min_size=2, max_size=25)  # of each patient


def cases_of(counts):
    return [f'BraTS-GLI-{patient:05d}-{n:03d}' for patient, count in enumerate(counts) for n in range(count)]


@given(visits, st.integers(2, 6), st.integers(0, 9), st.sampled_from([0.0, 0.01, 0.1, 0.4]))
def test_each_case_is_held_out_once_and_no_patient_is_on_two_sides(counts, folds, seed, share):
    cases, patients = cases_of(counts), Patients()
    if len(counts) < folds:
        with pytest.raises(ValueError, match=f'--folds is {folds}, but .* of {len(counts)} patients'):
            fold_splits(cases, patients, folds, seed, share)
        return
    found = fold_splits(cases, patients, folds, seed)
    if share:
        if any(len(patients.groups(splits['train'])) == 1 for splits in found):
            with pytest.raises(ValueError, match='leaves none to train'):
                fold_splits(cases, patients, folds, seed, share)
            return
        held_out = [splits['test'] for splits in found]
        found = fold_splits(cases, patients, folds, seed, share)
        assert [splits['test'] for splits in found] == held_out
    assert sorted(case for splits in found for case in splits['test']) == cases
    for splits in found:
        assert sorted(case for part in splits.values() for case in part) == cases
        told = [{patients.of(case) for case in splits[part]} for part in ('train', 'val', 'test')]
        assert sum(map(len, told)) == len(set.union(*told)) == len(counts)
        others = len(counts) - len(told[2])
        assert told[0] and len(told[1]) == (max(1, int(share * others + 0.5)) if share else 0)
    sizes = [len(splits['test']) for splits in found]
    assert min(sizes) > 0 and max(sizes) - min(sizes) <= max(counts)


def test_the_seed_decides_and_the_order_of_cases_does_not():
    cases = cases_of([1] * 20)
    found = [fold_splits(cases, Patients(), 5, seed, 0.1) for seed in range(3)]
    assert found[0] == fold_splits(cases[::-1], Patients(), 5, 0, 0.1)
    assert found[0] != found[1] != found[2]
    validating = Counter(case for splits in found[0] for case in splits['val'])
    assert len(validating) > 4  # not the same few for all folds


def test_cases_that_hold_one_scan_are_in_one_fold():
    cases = cases_of([1] * 6)
    same = [[cases[0], cases[3]], [cases[3], cases[5]]]
    folds = [set(splits['test']) for splits in fold_splits(cases, Patients(same_scans=same), 3, 0)]
    assert {cases[0], cases[3], cases[5]} in folds


@pytest.mark.parametrize(('folds', 'share', 'said'), [(1, 0.0, 'at least 2'), (3, 1.0, 'less than 1')])
def test_what_is_no_number_of_folds_or_no_share_is_refused(folds, share, said):
    with pytest.raises(ValueError, match=said):
        fold_splits(cases_of([1] * 6), Patients(), folds, 0, share)


def test_a_store_says_who_takes_part(brats_store, tmp_path):
    found = foldable_cases(brats_store)
    assert found.cases == ['BraTS-GLI-00003-000', 'BraTS-GLI-00003-001', 'BraTS2021_00001', 'BraTS2021_00002']
    assert found.left_out == ['BraTS-GLI-00004-000']
    (tmp_path / 'fold.json').write_text(
        splits_text(fold_splits(found.cases, found.patients, 3, 0)[1], 0, found.patients)
    )
    splits = read_splits(tmp_path / 'fold.json')
    for split in ('train', 'test'):
        data = BraTSDataset(
            str(brats_store), split=split, sample='volume', splits_file=str(tmp_path / 'fold.json')
        )
        assert [data.get_data_info(index)['case'] for index in range(len(data))] == splits[split]


def test_equal_scans_count_also_where_the_store_does_not_list_them(brats_store, tmp_path, monkeypatch):
    store = shutil.copytree(brats_store, tmp_path / 'store')
    content = json.loads((store / 'splits.json').read_text())
    assert content['same_scans'] == []
    real = StoredCase.__init__

    def of_one_scan(self, path):
        real(self, path)
        self.scan = 'same' if self.case in ('BraTS2021_00001', 'BraTS2021_00002') else self.scan

    monkeypatch.setattr(StoredCase, '__init__', of_one_scan)
    assert len(foldable_cases(store).patients.groups(foldable_cases(store).cases)) == 2


def test_a_case_without_labels_or_without_its_file_is_named(brats_store, tmp_path):
    store = shutil.copytree(brats_store, tmp_path / 'store')
    content = json.loads((store / 'splits.json').read_text())
    content['train'] += content.pop('unlabelled')
    (store / 'splits.json').write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"'BraTS-GLI-00004-000' in 'train', but it has no segmentation"):
        foldable_cases(store)
    case_path(store, 'BraTS-GLI-00004-000').unlink()
    with pytest.raises(FileNotFoundError, match=r"'BraTS-GLI-00004-000' in 'train', but the store does not"):
        foldable_cases(store)

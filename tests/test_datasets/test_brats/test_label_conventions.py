import re

import numpy as np
import pytest

from mmcggm.datasets.brats.label_conventions import (
    CONVENTIONS,
    as_labels,
    choose_convention,
    get_convention,
    present_labels,
)


@pytest.mark.parametrize(
    ('naming', 'labels_of', 'name'),
    [
        ('2021', dict(a=[0, 1, 2, 4], b=[0, 2]), 'gli2021'),
        ('2021', dict(a=[0, 1, 2], b=[0]), 'gli2021'),
        ('2021', dict(a=[0, 1, 2, 3], b=[0, 2]), 'gli2023'),
        ('2021', dict(a=[]), 'gli2021'),
        ('2023', dict(a=[0, 1, 2, 3]), 'gli2023'),
        ('2023', {'BraTS-SSA-00001-000': [0, 3], 'BraTS-SSA-00002-000': [0, 1]}, 'ssa2023'),
        ('2023', {'BraTS-MEN-00001-000': [0, 3]}, 'men2023'),
        ('2023', {'BraTS-MET-00001-000': [0, 3], 'BraTS-MET-00002-000': []}, 'met2023'),
        ('2023', {'BraTS-MET-00001-000': [0, 3], 'BraTS-GLI-00002-000': [0, 2]}, 'gli2023'),
        ('2023', {'BraTS-MEN-RT-0001-1': [0, 2], 'BraTS-MEN-RT-0002-1': [0, 1]}, 'men2023'),
    ],
)
def test_all_files_and_names_tell_the_convention(naming, labels_of, name):
    assert choose_convention(naming, labels_of).name == name


@pytest.mark.parametrize(
    ('naming', 'labels_of', 'message'),
    [
        (
            '2023',
            dict(a=[0, 1, 2, 3], b=[0, 4]),
            r'b holds label 4.*resection cavity.*--labels.*gli2024.*ped2024',
        ),
        ('2023', dict(a=[0, 1, 2, 4]), r'a holds label 4.*gli2021'),
        ('2021', dict(a=[0, 4], b=[0, 1, 2], c=[0, 3]), r'c holds label 3 and a label 4.*--labels'),
        ('2021', dict(a=[0, 3, 4]), r'a holds label 3 and a label 4'),
        ('2023', {'BraTS-PED-00001-000': [0, 1, 2, 3]}, r'BraTS-PED-00001-000 is a child.*ped2023.*ped2024'),
        ('2023', {'BraTS-PEDs-00001-000': []}, r'BraTS-PEDs-00001-000 is a child'),
        ('2023', {'x': [0, 3], 'BraTS-PED-00001-000': [0, 4]}, r'BraTS-PED-00001-000 is a child'),
        ('2023', {'BraTS-MEN-RT-0001-1': [0, 1]}, r'BraTS-MEN-RT-0001-1 is planned.*menrt2024'),
    ],
)
def test_what_is_left_open_or_contradicts_itself_is_refused(naming, labels_of, message):
    with pytest.raises(ValueError, match=f'(?s){message}'):
        choose_convention(naming, labels_of)


@pytest.mark.parametrize('convention', CONVENTIONS.values(), ids=lambda convention: convention.name)
def test_a_convention_maps_there_and_back_and_says_what_it_means(convention):
    on_disk = np.array([[convention.on_disk]], dtype=np.uint8)
    training = convention.to_training(on_disk, 'x')
    assert training.ravel().tolist() == list(range(len(convention.on_disk)))
    np.testing.assert_array_equal(convention.to_disk(training), on_disk)
    metainfo = convention.scheme.metainfo
    sizes = {len(convention.on_disk), len(metainfo['classes']), len(metainfo['palette'])}
    assert sizes == {len(convention.meanings) + 1} == {len(convention.scheme.short) + 1}
    assert {label for region in metainfo['regions'].values() for label in region} < set(
        training.ravel().tolist()
    )
    for label, meaning in zip(convention.on_disk[1:], convention.meanings, strict=True):
        assert f'{label} {meaning}' in convention.describe()


@pytest.mark.parametrize(
    ('name', 'regions'),
    [
        ('gli2021', dict(wt={1, 2, 4}, tc={1, 4}, et={4})),
        ('gli2023', dict(wt={1, 2, 3}, tc={1, 3}, et={3})),
        ('gli2024', dict(wt={1, 2, 3}, tc={1, 3}, et={3}, rc={4})),
        ('met2025', dict(wt={1, 2, 3}, tc={1, 3}, et={3}, rc={4})),
        ('ped2024', dict(wt={1, 2, 3, 4}, tc={1, 2, 3}, et={1}, netc={2}, cc={3}, ed={4})),
        ('menrt2024', dict(gtv={1})),
    ],
)
def test_regions_are_made_of_the_labels_on_disk_that_the_challenge_names(name, regions):
    convention = CONVENTIONS[name]
    found = {
        region.lower(): {convention.on_disk[label] for label in labels}
        for region, labels in convention.scheme.regions.items()
    }
    assert found == regions


@pytest.mark.parametrize(
    'convention', [c for c in CONVENTIONS.values() if c.on_disk == tuple(range(len(c.on_disk)))]
)
def test_regions_are_those_of_the_challenges_scorer(convention):
    from importlib.util import find_spec
    from pathlib import Path

    spec = find_spec('brats_evaluation')
    if spec is None:
        pytest.skip('BraTS-evaluation is not installed')
    text = (Path(spec.origin).parent / 'configs' / f'config_{convention.scheme.scorer}.yaml').read_text()
    theirs = dict(
        re.findall(r'(\w+): !Label\w+\s+single_instance: false\s+value_labels: \[([\d, ]+)\]', text)
    )
    for region, labels in convention.scheme.regions.items():
        assert tuple(map(int, theirs[region.lower()].split(','))) == labels


@pytest.mark.parametrize('dtype', [np.float32, np.float64])
def test_values_near_integers_are_integers(dtype):
    array = np.array([0, 0.9995, 2.0004, 3.9999, -0.0005], dtype=dtype)
    assert as_labels(array, 'x').tolist() == [0, 1, 2, 4, 0]


@pytest.mark.parametrize(
    ('values', 'shown'),
    [([0, 1.5], '[1.5]'), ([0, 2.002], '[2.00'), ([-1], '[-1]'), ([0, 300], '[300]'), ([1e30], '[1e+30]')],
)
def test_other_values_are_named(values, shown):
    with pytest.raises(ValueError, match=re.escape(f'a_seg.nii holds labels {shown}')):
        as_labels(np.array(values), 'a_seg.nii')


def test_unknown_labels_and_conventions_are_named():
    with pytest.raises(
        ValueError, match=r'a_seg\.nii holds labels \[3, 7\]; those of gli2021 are \[0, 1, 2, 4\]'
    ):
        CONVENTIONS['gli2021'].to_training(np.array([0, 3, 7], dtype=np.uint8), 'a_seg.nii')
    with pytest.raises(ValueError, match=r'labels must be 0, 1, 2, 3 \(gli2021\), got \[4\]'):
        CONVENTIONS['gli2021'].to_disk(np.array([4]))
    with pytest.raises(ValueError, match="no label convention 'gli2020'; choose one of gli2021"):
        get_convention('gli2020')
    assert get_convention('2021').name == 'gli2021' and get_convention('2023').name == 'gli2023'


@pytest.mark.parametrize('values', [[0, 4, 2], [1, 1], [0, 0], []])
def test_present_labels(values):
    assert present_labels(np.array(values, dtype=np.uint8)) == sorted(set(values))

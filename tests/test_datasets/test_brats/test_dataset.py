import json
import shutil

import numpy as np
import pytest
from mmengine.dataset import pseudo_collate

from mmcggm.datasets import BraTSDataset
from mmcggm.datasets.brats.converter import convert_folder
from mmcggm.datasets.brats.splits import read_splits
from mmcggm.datasets.brats.volume_store import StoredCase, case_path
from mmcggm.registry import DATASETS, TRANSFORMS
from tests.synthetic import write_synthetic_case

LABELLED = ['BraTS-GLI-00003-000', 'BraTS-GLI-00003-001', 'BraTS2021_00001', 'BraTS2021_00002']


def pipeline(*types):
    return [TRANSFORMS.build(dict(type=name)) for name in types]


@pytest.fixture
def own_store(brats_store, tmp_path):
    return shutil.copytree(brats_store, tmp_path / 'store')


def edit_splits(store, **splits):
    (store / 'splits.json').write_text(json.dumps(dict(train=[], val=[], test=[]) | splits))


def test_splits_and_modalities_choose_the_items(brats_store):
    splits = read_splits(brats_store / 'splits.json')
    for split in ('train', 'val', 'test', 'unlabelled'):
        dataset = BraTSDataset(str(brats_store), split=split, sample='volume')
        assert [dataset.get_data_info(index)['case'] for index in range(len(dataset))] == splits[split]
    assert len(BraTSDataset(str(brats_store), split=['train', 'val', 'test'])) == len(LABELLED)
    assert len(BraTSDataset(str(brats_store), split='all', sample='volume')) == len(LABELLED) + 1
    assert len(BraTSDataset(str(brats_store), split='all')) == len(LABELLED)
    cases = BraTSDataset(str(brats_store), split='all', sample='volume').cases
    assert {case for case, has_seg in cases.items() if has_seg} == {*LABELLED} and len(cases) == 5


def test_metainfo_names_classes_and_regions():
    metainfo = BraTSDataset.METAINFO
    assert len(metainfo['classes']) == len(metainfo['palette']) == 4
    assert metainfo['regions'] == dict(WT=(1, 2, 3), TC=(1, 3), ET=(3,))


def test_a_random_slice_has_tumour_and_follows_the_seed(brats_store):
    dataset = BraTSDataset(
        str(brats_store), split=['train', 'val', 'test'], pipeline=pipeline('LoadBraTSSlice')
    )
    assert len(dataset) == len(LABELLED)

    def draw(seed):
        np.random.seed(seed)  # noqa: NPY002
        items = [dataset[0] for _ in range(20)]
        assert all(item['gt_seg_map'].any() for item in items)
        return [item['slice_index'] for item in items]

    assert draw(0) == draw(0)
    assert len(set(draw(0))) > 3
    tumour = StoredCase(dataset[0]['case_path']).tumour_slices
    assert set(draw(1)) <= set(tumour.tolist())


@pytest.mark.parametrize('sample', ['tumour_slices', 'all_slices'])
def test_slices_are_listed_once_each(brats_store, sample):
    splits = ['train', 'val', 'test']
    dataset = BraTSDataset(str(brats_store), split=splits, sample=sample)
    listed = [dataset.get_data_info(index) for index in range(len(dataset))]
    expected = []
    for case in (case for split in splits for case in read_splits(brats_store / 'splits.json')[split]):
        stored = StoredCase(case_path(brats_store, case))
        slices = stored.tumour_slices if sample == 'tumour_slices' else range(stored.shape[0])
        expected += [(case, z) for z in slices]
    assert [(item['case'], item['slice_index']) for item in listed] == expected


@pytest.mark.parametrize('background', [0.0, 0.3, 1.0, 1e6])
def test_background_adds_its_share_of_slices_without_tumour(brats_store, background):
    splits = ['train', 'val', 'test']
    dataset = BraTSDataset(str(brats_store), split=splits, sample='tumour_slices', background=background)
    listed = [dataset.get_data_info(index) for index in range(len(dataset))]
    for case in (case for split in splits for case in read_splits(brats_store / 'splits.json')[split]):
        stored = StoredCase(case_path(brats_store, case))
        found = [item['slice_index'] for item in listed if item['case'] == case]
        assert found == sorted(set(found)) and set(stored.tumour_slices.tolist()) <= set(found)
        without = stored.shape[0] - len(stored.tumour_slices)
        expected = min(round(background * len(stored.tumour_slices)), without)
        assert len(found) - len(stored.tumour_slices) == expected


@pytest.mark.parametrize(('background', 'sample'), [(-0.1, 'tumour_slices'), (0.2, 'all_slices')])
def test_background_is_checked(brats_store, background, sample):
    with pytest.raises(ValueError, match='`background` is'):
        BraTSDataset(str(brats_store), sample=sample, background=background)


def test_a_training_batch_collates(brats_store):
    modalities = ('t2', 'flair')
    dataset = DATASETS.build(
        dict(
            type='BraTSDataset',
            data_root=str(brats_store),
            split=['train', 'val', 'test'],
            modalities=modalities,
            pipeline=pipeline('LoadBraTSSlice', 'PackMultimodalInputs'),
        )
    )
    batch = pseudo_collate([dataset[0], dataset[1]])
    assert {name: [tuple(x.shape) for x in stack] for name, stack in batch['inputs'].items()} == {
        name: [(1, 32, 40)] * 2 for name in modalities
    }
    for index, sample in enumerate(batch['data_samples']):
        assert sample.gt_sem_seg.data.shape == (1, 32, 40)
        image, seg = StoredCase(sample.case_path).read_slice(sample.slice_index, modalities)
        np.testing.assert_array_equal(batch['inputs']['t2'][index][0], image[0])
        np.testing.assert_array_equal(sample.gt_sem_seg.data[0], seg)


def test_an_absent_store_says_what_to_do_in_one_sentence(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        BraTSDataset(str(tmp_path / 'data' / 'brats'))
    message = str(error.value)
    for part in ('BraTS 2021', 'synapse', 'mmcggm convert brats', str(tmp_path), 'make demo'):
        assert part in message
    assert message.endswith('needs no data.') and '. ' not in message


def test_a_store_without_splits_says_who_writes_them(own_store):
    (own_store / 'splits.json').unlink()
    with pytest.raises(FileNotFoundError, match=r'splits\.json does not exist.*convert brats'):
        BraTSDataset(str(own_store))


def test_a_case_that_is_not_stored_names_splits_json(own_store):
    edit_splits(own_store, train=['nobody'])
    with pytest.raises(FileNotFoundError, match=r"splits\.json names case 'nobody' in 'train'"):
        BraTSDataset(str(own_store))


def test_malformed_splits_are_named(own_store):
    (own_store / 'splits.json').write_text('{"train"')
    with pytest.raises(ValueError, match=r'splits\.json is not valid JSON'):
        BraTSDataset(str(own_store))


def test_an_empty_split_is_an_error(own_store):
    edit_splits(own_store, val=LABELLED)
    with pytest.raises(ValueError, match=r"splits\.json leaves no .* item in \['train'\]"):
        BraTSDataset(str(own_store))


def test_an_unlabelled_case_cannot_train(own_store):
    edit_splits(own_store, train=['BraTS-GLI-00004-000'])
    with pytest.raises(ValueError, match=r"'BraTS-GLI-00004-000' in 'train'.*no segmentation"):
        BraTSDataset(str(own_store))
    assert len(BraTSDataset(str(own_store), sample='volume')) == 1


def test_a_case_without_tumour_is_left_out_of_tumour_slices(tmp_path):
    write_synthetic_case(tmp_path / 'source', 'a')
    write_synthetic_case(tmp_path / 'source', 'b', tumour=False)
    convert_folder(tmp_path / 'source', tmp_path / 'store')
    dataset = BraTSDataset(str(tmp_path / 'store'), split='all')
    assert [dataset.get_data_info(index)['case'] for index in range(len(dataset))] == ['a']


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(modalities=('flair', 'pet')), r"`modalities` in the config names \['pet'\]"),
        (dict(modalities=()), '`modalities`'),
        (dict(modalities=('t1', 't1')), '`modalities`'),
        (dict(split='training'), r"`split` holds \['training'\]"),
        (dict(split=['train', 'tset']), r"`split` holds \['tset'\]"),
        (dict(sample='slices'), "`sample` is 'slices'"),
    ],
)
def test_a_wrong_argument_is_named(brats_store, options, message):
    with pytest.raises(ValueError, match=message):
        BraTSDataset(str(brats_store), **options)


def test_classes_and_regions_are_those_of_the_stores_labels(tmp_path):
    for seed in range(2):
        write_synthetic_case(tmp_path / 'source', f'BraTS-GLI-0000{seed}-100', '2023', seed=seed)
    convert_folder(tmp_path / 'source', tmp_path / 'store', labels='gli2024')
    metainfo = BraTSDataset(str(tmp_path / 'store'), split='all').metainfo
    assert len(metainfo['classes']) == len(metainfo['palette']) == 5
    assert metainfo['classes'][4] == 'resection cavity' and metainfo['regions']['RC'] == (4,)
    own = dict(regions=dict(all=(1, 2, 3, 4)))
    metainfo = BraTSDataset(str(tmp_path / 'store'), split='all', metainfo=own).metainfo
    assert metainfo['regions'] == own['regions'] and len(metainfo['classes']) == 5


def test_a_store_of_mixed_labels_is_an_error(own_store, tmp_path):
    write_synthetic_case(tmp_path / 'source', 'x', '2023', seed=7)
    convert_folder(tmp_path / 'source', tmp_path / 'other', labels='ped2024')
    shutil.copy(tmp_path / 'other' / 'cases' / 'x.h5', own_store / 'cases')
    edit_splits(own_store, train=[LABELLED[2], 'x'])
    with pytest.raises(ValueError, match=rf"mixes labels: case '{LABELLED[2]}' .* gli2021, 'x' .* ped2024"):
        BraTSDataset(str(own_store))


def test_a_path_in_splits_json_is_not_followed(own_store):
    edit_splits(own_store, train=['../../x'])
    with pytest.raises(ValueError, match=r"splits\.json, 'train': '../../x' cannot be the id of a case"):
        BraTSDataset(str(own_store))


def test_what_a_case_lacks_is_zero_and_named(tmp_path, brats_source, monkeypatch):
    source, store = shutil.copytree(brats_source, tmp_path / 'source'), tmp_path / 'store'
    next(source.glob('**/BraTS2021_00001_t1.*')).unlink()
    convert_folder(source, store, allow_missing=True, fractions=(1, 0, 0))
    pack = pipeline('PackMultimodalInputs')
    brighter = [lambda results: dict(results, img=results['img'] + 5)]  # absent sequences too
    dataset = BraTSDataset(str(store), pipeline=[*pipeline('LoadBraTSSlice'), *brighter, *pack])
    samples = {item['data_samples'].case: item for item in map(dataset.__getitem__, range(len(dataset)))}
    for case, item in samples.items():
        there = {name: bool(image.any()) for name, image in item['inputs'].items()}
        lacks = ['t1'] if case == 'BraTS2021_00001' else []
        assert there == item['data_samples'].present == {name: name not in lacks for name in there}
    patch = BraTSDataset(
        str(store),
        sample='patch',
        pipeline=[TRANSFORMS.build(dict(type='LoadBraTSPatch', patch_size=(8, 16, 16))), *pack],
    )
    there = [patch[index]['data_samples'].present['t1'] for index in range(len(patch))]
    assert sum(there) == len(samples) - 1
    volumes = BraTSDataset(
        str(store), split='all', sample='volume', pipeline=[*pipeline('LoadBraTSVolume'), *pack]
    )
    there = [volumes[index]['data_samples'].present['t1'] for index in range(len(volumes))]
    assert sum(there) == len(volumes) - 1

    said = []
    monkeypatch.setattr('mmcggm.datasets.brats.dataset.print_log', lambda message, *_: said.append(message))
    edit_splits(store, train=['BraTS2021_00001'], val=['BraTS2021_00002'])
    BraTSDataset(str(store), split='train')
    assert '1 of 1 cases' in said[0] and 'None has t1, so nothing is learned of it here' in said[0]
    BraTSDataset(str(store), split='all')
    assert '1 of 2 cases' in said[1] and 'None has' not in said[1]
    with pytest.raises(ValueError, match=r"names \['t1'\], of which 'BraTS2021_00001' in .* has none"):
        BraTSDataset(str(store), modalities=['t1'])

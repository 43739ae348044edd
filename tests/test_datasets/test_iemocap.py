import logging
import multiprocessing
import os
import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

pytest.importorskip('h5py')
import h5py
from mmengine.dataset import default_collate

from mmcggm.datasets import IEMOCAPDataset
from mmcggm.datasets.iemocap import dataset as iemocap
from mmcggm.datasets.readers import h5_features
from mmcggm.registry import DATASETS
from tests.formats.iemocap import CHANNELS, write_synthetic_iemocap

MODALITIES = ('text', 'audio', 'vision')


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    """Features as published; not to be changed."""
    return write_synthetic_iemocap(tmp_path_factory.mktemp('iemocap'))


@pytest.fixture
def small(tmp_path):
    """Features of few channels, to be changed."""
    return write_synthetic_iemocap(tmp_path, channels=dict(text=3, audio=2, vision=4), folds=(1,))


def raw(root, file, name):
    with h5py.File(root / file) as h5:
        return h5[name][()]


def replace(path, name, array):
    with h5py.File(path, 'a') as h5:
        del h5[name]
        if array is not None:
            h5[name] = array


def names_of(root, split='trn', cv=1):
    return [name.decode() for name in np.load(root / f'target/{cv}/{split}_int2name.npy')[:, 0]]


def test_sample_has_the_published_shapes(root):
    dataset = IEMOCAPDataset(str(root), split='train')
    sample = dataset[0]
    assert len(dataset) == 12 and list(sample) == ['inputs', 'labels', 'lengths']
    assert {m: (x.shape, x.dtype) for m, x in sample['inputs'].items()} == dict(
        text=((22, 1024), torch.float32), audio=((350, 130), torch.float32), vision=((50, 342), torch.float32)
    )
    assert sample['labels'].dtype == torch.int64 and sample['labels'].shape == ()
    assert all(length.dtype == torch.int64 and length.shape == () for length in sample['lengths'].values())
    assert dataset.metainfo['classes'] == ('angry', 'happy', 'neutral', 'sad')


@pytest.mark.parametrize(('split', 'file'), [('train', 'trn'), ('val', 'val'), ('test', 'tst')])
@pytest.mark.parametrize('cv', [1, 2])
def test_values_by_hand(root, split, file, cv):
    dataset = IEMOCAPDataset(str(root), split, cv)
    labels = np.load(root / f'target/{cv}/{file}_label.npy')
    frames = np.concatenate([raw(root, 'A/comparE.h5', name) for name in names_of(root, cv=cv)])
    for sample, name, label in zip(dataset, names_of(root, file, cv), labels, strict=True):
        audio = raw(root, 'A/comparE.h5', name)
        text, vision = raw(root, 'L/bert_large.h5', name), raw(root, 'V/denseface.h5', name)
        assert sample['labels'] == label.argmax()
        np.testing.assert_allclose(sample['inputs']['text'], text, rtol=1e-6)
        np.testing.assert_allclose(sample['inputs']['vision'], vision, rtol=1e-6)
        expected = (audio - frames.mean(axis=0)) / frames.std(axis=0)
        np.testing.assert_allclose(sample['inputs']['audio'][: len(audio)], expected, atol=1e-4)
        assert not sample['inputs']['audio'][len(audio) :].any()
        assert sample['lengths'] == dict(
            text=int(text.any(axis=1).sum()), audio=len(audio), vision=int(vision.any(axis=1).sum())
        )


def test_lengths_end_with_the_last_frame_that_is_not_zero(small):
    first, second = names_of(small)[:2]
    replace(
        small / 'V/denseface.h5', first, np.eye(50, 4)[::-1] * [1, 0, 1, 0]
    )  # only 47 and 49 are not zero
    replace(small / 'V/denseface.h5', second, np.zeros((50, 4)))
    dataset = IEMOCAPDataset(str(small))
    assert [int(dataset[i]['lengths']['vision']) for i in (0, 1)] == [50, 0]


def test_labels_and_names_in_all_forms(tmp_path):
    forms = [dict(), dict(one_hot=False), dict(name_type=np.str_)]
    samples = []
    for index, form in enumerate(forms):
        root = write_synthetic_iemocap(tmp_path / str(index), folds=(1,), **form)
        samples.append([int(sample['labels']) for sample in IEMOCAPDataset(str(root))])
    assert samples[0] == samples[1] == samples[2] and len(set(samples[0])) == 4


def test_computed_statistics_equal_the_published(tmp_path, root, monkeypatch):
    bare = write_synthetic_iemocap(tmp_path, statistics=False)
    logged = []
    monkeypatch.setattr(h5_features, 'print_log', lambda text, *_: logged.append(text))
    for split in ('train', 'val', 'test'):
        computed, published = (IEMOCAPDataset(str(folder), split, cv=2)[0] for folder in (bare, root))
        torch.testing.assert_close(computed['inputs'], published['inputs'], rtol=1e-4, atol=1e-4)
    assert len(logged) == 1 and '12 matrices' in logged[0]


def test_computed_statistics_follow_the_file(tmp_path):
    root = write_synthetic_iemocap(tmp_path, statistics=False)
    before = IEMOCAPDataset(str(root))[0]['inputs']['audio']
    replace(root / 'A/comparE.h5', names_of(root)[1], np.full((5, 130), 1e5))
    assert not torch.equal(before, IEMOCAPDataset(str(root))[0]['inputs']['audio'])


def test_constant_channel_stays_finite(tmp_path):
    root = write_synthetic_iemocap(tmp_path, statistics=False)
    for name in names_of(root):
        features = raw(root, 'A/comparE.h5', name)
        features[:, 0] = 5
        replace(root / 'A/comparE.h5', name, features)
    audio = IEMOCAPDataset(str(root))[0]['inputs']['audio']
    assert not audio[:, 0].any() and audio.isfinite().all()


def test_normalisation_by_utterance(small):
    first, second = names_of(small)[:2]
    replace(small / 'A/comparE.h5', first, [[1.0, 5], [3, 5], [5, 5]])
    replace(small / 'A/comparE.h5', second, [[1.0, 5]])
    dataset = IEMOCAPDataset(str(small), audio_norm='utterance')
    assert dataset[0]['inputs']['audio'][:4].tolist() == [[-1, 0], [0, 0], [1, 0], [0, 0]]
    assert not dataset[1]['inputs']['audio'].any() and dataset[1]['lengths']['audio'] == 1


def test_no_normalisation(small):
    audio = raw(small, 'A/comparE.h5', names_of(small)[0])
    (small / 'A/comparE_mean_std.h5').unlink()
    sample = IEMOCAPDataset(str(small), audio_norm='none')[0]
    np.testing.assert_allclose(sample['inputs']['audio'][: len(audio)], audio, rtol=1e-6)


def test_longer_utterances_are_cut_and_counted(small, monkeypatch):
    logged = []
    monkeypatch.setattr(iemocap, 'print_log', lambda *args: logged.append(args))
    replace(small / 'A/comparE.h5', names_of(small)[0], np.ones((400, 2)))
    replace(small / 'A/comparE.h5', names_of(small)[1], np.ones((351, 2)))
    sample = IEMOCAPDataset(str(small))[0]
    assert sample['inputs']['audio'].shape == (350, 2) and sample['lengths']['audio'] == 350
    ((text, _, level),) = logged
    assert '2 of 12 utterances' in text and 'from 400' in text and level == logging.WARNING


def test_some_modalities(root):
    dataset = IEMOCAPDataset(str(root), features=dict(vision='denseface', text='bert_large'))
    assert list(dataset[0]['inputs']) == ['vision', 'text']


def test_pipeline_sees_the_sample(root):
    dataset = IEMOCAPDataset(str(root), pipeline=[lambda sample: dict(sample, extra=sample['labels'] + 1)])
    assert dataset[0]['extra'] == dataset[0]['labels'] + 1


@pytest.mark.parametrize('context', ['fork', 'spawn'])
def test_worker_processes_read_the_same(root, context):
    dataset = IEMOCAPDataset(str(root))
    alone = [dataset[i] for i in range(len(dataset))]  # so files are open before workers start
    loader = DataLoader(
        dataset, 2, num_workers=2, collate_fn=default_collate, multiprocessing_context=context
    )
    batches = list(loader)
    assert torch.equal(torch.cat([b['labels'] for b in batches]), torch.stack([s['labels'] for s in alone]))
    for modality in MODALITIES:
        inputs = torch.cat([batch['inputs'][modality] for batch in batches])
        assert torch.equal(inputs, torch.stack([sample['inputs'][modality] for sample in alone]))
        assert [len(batch['lengths'][modality]) for batch in batches] == [2] * 6
    assert torch.equal(dataset[3]['inputs']['text'], alone[3]['inputs']['text'])  # the parent goes on


def test_a_forked_process_opens_the_file_for_itself(root):
    features = h5_features.H5Features(root / 'A/comparE.h5')
    name = names_of(root)[0]
    features.read(name)
    context = multiprocessing.get_context('fork')
    queue = context.SimpleQueue()

    def read():
        features.read(name)
        queue.put((features._owner, os.getpid()))

    process = context.Process(target=read)
    process.start()
    process.join()
    assert process.exitcode == 0
    owner, child = queue.get()
    assert owner == child != os.getpid()


def test_nothing_is_open_before_the_first_read_nor_in_a_copy(root):
    dataset = IEMOCAPDataset(str(root))
    assert all(file._file is None for file in dataset._files.values())
    sample = dataset[0]
    copy = pickle.loads(pickle.dumps(dataset))
    assert all(file._file is None for file in copy._files.values())
    torch.testing.assert_close(copy[0], sample)


def test_absent_data(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'download .*MMIN.*target, A, V and L'):
        IEMOCAPDataset(str(tmp_path / 'nowhere'))


def test_unknown_fold(root):
    with pytest.raises(FileNotFoundError, match=r"`cv` is 11.*\['1', '2'\]"):
        IEMOCAPDataset(str(root), cv=11)


def test_missing_utterances_are_named(small):
    name = names_of(small)[3]
    replace(small / 'V/denseface.h5', name, None)
    with pytest.raises(ValueError, match=rf'denseface.h5 lacks 1 of 12 names: {name}'):
        IEMOCAPDataset(str(small))


def test_missing_file_lists_the_others(small):
    with pytest.raises(FileNotFoundError, match=r"wav2vec.h5 is missing.*comparE.h5.*features\['audio'\]"):
        IEMOCAPDataset(str(small), features=dict(audio='wav2vec'))


@pytest.mark.parametrize('features', [np.ones((5, 3)), np.ones(4), np.ones((0, 4))])
def test_wrong_features_are_named(small, features):
    name = names_of(small)[1]
    replace(small / 'V/denseface.h5', name, features)
    with pytest.raises(ValueError, match=rf'denseface.h5 must hold matrices .*{name} \('):
        IEMOCAPDataset(str(small))


def test_not_a_number_is_named_when_read(small):
    name = names_of(small)[1]
    replace(small / 'L/bert_large.h5', name, np.full((22, 3), np.nan))
    dataset = IEMOCAPDataset(str(small))
    with pytest.raises(ValueError, match=rf"bert_large.h5: '{name}' holds NaN"):
        dataset[1]


def test_file_of_another_format(small):
    (small / 'L/bert_large.h5').write_text('not HDF5')
    with pytest.raises(ValueError, match=r'bert_large.h5 cannot be read as HDF5'):
        IEMOCAPDataset(str(small))


@pytest.mark.parametrize(
    'labels',
    [
        np.full(12, 4),
        np.full(12, -1),
        np.full(12, 0.5),
        np.zeros((12, 4)),
        np.ones((12, 4)),
        np.zeros((12, 3)),
        np.array(0),
    ],
)
def test_wrong_labels(small, labels):
    np.save(small / 'target/1/trn_label.npy', labels)
    with pytest.raises(ValueError, match=r'trn_label.npy.*one-hot, \(N, 4\).*metainfo'):
        IEMOCAPDataset(str(small))


def test_labels_that_are_too_few(small):
    np.save(small / 'target/1/trn_label.npy', np.zeros(11, dtype=int))
    with pytest.raises(ValueError, match=r"12 names but 11 labels of 'train'"):
        IEMOCAPDataset(str(small))


@pytest.mark.parametrize('names', [np.arange(12), np.array([['a', 'b']] * 12), np.array('a')])
def test_wrong_names(small, names):
    np.save(small / 'target/1/trn_int2name.npy', names)
    with pytest.raises(ValueError, match=r'trn_int2name.npy must hold names'):
        IEMOCAPDataset(str(small))


def test_no_names(small):
    np.save(small / 'target/1/trn_int2name.npy', np.array([], dtype='S8'))
    with pytest.raises(ValueError, match=r'trn_int2name.npy names no utterance'):
        IEMOCAPDataset(str(small))


class Trap:
    def __reduce__(self):
        return exec, ('raise SystemExit("code ran")',)


def test_python_objects_are_not_loaded(small):
    np.save(small / 'target/1/trn_int2name.npy', np.array([Trap()], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r'trn_int2name.npy cannot be read as a plain array'):
        IEMOCAPDataset(str(small))


@pytest.mark.parametrize('statistics', [dict(), dict(mean=np.ones(3), std=np.ones(3)), dict(mean=np.ones(2))])
def test_wrong_statistics(small, statistics):
    with h5py.File(small / 'A/comparE_mean_std.h5', 'w') as h5:
        for key, values in statistics.items():
            h5[f'1/{key}'] = values
    with pytest.raises(ValueError, match=r"comparE_mean_std.h5 must hold '1/mean'.*Delete"):
        IEMOCAPDataset(str(small))


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(split='trn'), r"`split` is 'trn'.*'train'"),
        (dict(audio_norm='trn'), r"`audio_norm` is 'trn'.*'utterance'"),
        (dict(features=dict(speech='comparE')), r"`features` must name some of .*'audio'"),
        (dict(features={}), r'`features` must name some of'),
        (dict(max_lengths=dict(text=22, audio=0)), r"`max_lengths` .*\['audio', 'vision'\]"),
    ],
)
def test_wrong_settings(root, settings, message):
    with pytest.raises(ValueError, match=message):
        IEMOCAPDataset(str(root), **settings)


def test_registered(root):
    dataset = DATASETS.build(dict(type='IEMOCAPDataset', data_root=str(root), split='val', cv=2))
    assert len(dataset) == 6 and {m: x.shape[1] for m, x in dataset[0]['inputs'].items()} == CHANNELS

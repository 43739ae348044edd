"""Sentiment data: the published formats, what counts as padding, values that are not finite, HDF5."""

import pickle

import h5py
import numpy as np
import pytest
import torch
from mmengine.logging import MMLogger
from torch.utils.data import DataLoader

from mmcggm.datasets import SentimentDataset
from mmcggm.datasets.readers.safe_pickle import UnsafePickleError
from mmcggm.datasets.sentiment.converter import convert_pickle
from mmcggm.datasets.sentiment.pickle_file import parse_split
from tests.formats.mosi import MODALITIES, SIZES, UNALIGNED, WIDTHS, mmsa_data, mult_data, write_pickle

FORMATS = dict(
    mult=mult_data(),
    mult_unaligned=mult_data(UNALIGNED),
    mmsa=mmsa_data(),
    mmsa_unaligned=mmsa_data(aligned=False),
)
NAN, INF = float('nan'), float('inf')


def by_hand(**entries) -> dict:
    """One split of two samples, in the format of MulT, whose ``entries`` are replaced."""
    return {
        **dict(
            text=[[[0, 0], [0, 0], [1, 2], [3, 0]], [[1, 1], [0, 0], [2, 2], [0, 0]]],
            audio=[[[0], [5]], [[0], [0]]],
            vision=[[[1], [2], [3]], [[0], [7], [0]]],
            labels=[[[1.5]], [[-3]]],
        ),
        **entries,
    }


def dataset(tmp_path, data: dict, **settings) -> SentimentDataset:
    write_pickle(tmp_path / 'data.pkl', data)
    return SentimentDataset(str(tmp_path), 'data.pkl', **settings)


def test_an_item_by_hand(tmp_path):
    items = list(dataset(tmp_path, dict(train=by_hand())))
    assert items[0]['inputs']['text'].tolist() == [[1, 2], [3, 0], [0, 0], [0, 0]]
    assert items[1]['inputs']['text'].tolist() == [[1, 1], [0, 0], [2, 2], [0, 0]], 'zeros inside stay'
    assert items[0]['inputs']['audio'].tolist() == [[5], [0]]
    assert items[1]['inputs']['vision'].tolist() == [[7], [0], [0]]
    lengths = [{m: int(length) for m, length in item['lengths'].items()} for item in items]
    assert lengths == [dict(text=2, audio=1, vision=3), dict(text=3, audio=1, vision=1)]
    assert [item['labels'].item() for item in items] == [1.5, -3]
    for item in items:
        assert item['labels'].dtype == torch.float32 and item['labels'].ndim == 0
        assert all(x.dtype == torch.float32 for x in item['inputs'].values())
        assert all(x.dtype == torch.int64 and x.ndim == 0 for x in item['lengths'].values())


def test_as_the_file_has_it(tmp_path):
    item = dataset(tmp_path, dict(train=by_hand()), padding='file', modalities=['audio', 'text'])[0]
    assert item['inputs']['text'].tolist() == by_hand()['text'][0]
    assert list(item['inputs']) == ['audio', 'text'] and 'lengths' not in item


@pytest.mark.parametrize('suffix', ['pkl', 'h5'])
@pytest.mark.parametrize('name', FORMATS)
def test_published_formats(tmp_path, name, suffix):
    write_pickle(tmp_path / 'data.pkl', FORMATS[name])
    convert_pickle(tmp_path / 'data.pkl', tmp_path / 'data.h5')
    for split, size in SIZES.items():
        settings = dict(ann_file=f'data.{suffix}', split=split, channels=WIDTHS)
        found = SentimentDataset(str(tmp_path), **settings)
        kept = SentimentDataset(str(tmp_path), padding='file', **settings)
        assert len(found) == len(kept) == size
        for index, items in enumerate(zip(found, kept, strict=True)):
            check_items(FORMATS[name][split], index, *items)


def check_items(data: dict, index: int, item: dict, as_is: dict) -> None:
    """Compare an item with padding at the end, and one as the file has it, with their source."""
    labels = data['labels' if 'labels' in data else 'regression_labels'].reshape(-1)
    assert item['labels'] == as_is['labels'] == labels[index]
    for modality in MODALITIES:
        source = data[modality][index].astype(np.float32)
        assert np.array_equal(as_is['inputs'][modality], source)
        if modality == 'text' and 'text_bert' in data:
            tokens = source[: int(data['text_bert'][index, 1].sum())]
        else:
            tokens = source[source.any(axis=1)]
        length = item['lengths'][modality]
        assert length == len(tokens)
        assert np.array_equal(item['inputs'][modality][:length], tokens)
        assert not item['inputs'][modality][length:].any()


def test_lengths_in_the_file_come_first(tmp_path):
    raw = by_hand(audio_lengths=[2, 0], vision_lengths=[9, 1])
    first, second = dataset(tmp_path, dict(train=raw))
    assert first['inputs']['audio'].tolist() == [[0], [5]] and first['lengths']['audio'] == 2
    assert second['lengths']['audio'] == 1, 'never less than one token'
    assert first['lengths']['vision'] == 3, 'a sequence that was cut'
    assert second['inputs']['vision'].tolist() == [[0], [0], [0]] and second['lengths']['vision'] == 1


def test_berts_output_at_padding_does_not_count(tmp_path):
    mask = [[1, 1, 1, 0], [1, 0, 0, 0]]
    raw = by_hand(text=np.ones((2, 4, 2)), text_bert=np.stack([mask, mask, np.zeros((2, 4))], axis=1))
    first, second = dataset(tmp_path, dict(train=raw))
    assert first['inputs']['text'][:, 0].tolist() == [1, 1, 1, 0] and first['lengths']['text'] == 3
    assert second['inputs']['text'][:, 0].tolist() == [1, 0, 0, 0] and second['lengths']['text'] == 1


@pytest.mark.parametrize('suffix', ['pkl', 'h5'])
def test_silence_becomes_zero_and_is_counted(tmp_path, caplog, monkeypatch, suffix):
    monkeypatch.setattr(MMLogger.get_current_instance(), 'handlers', [caplog.handler])
    raw = by_hand(audio=[[[-INF], [5]], [[-INF], [-INF]]])
    write_pickle(tmp_path / 'data.pkl', dict(train=raw))
    if suffix == 'h5':
        convert_pickle(tmp_path / 'data.pkl', tmp_path / 'data.h5')
    first, second = SentimentDataset(str(tmp_path), f'data.{suffix}')
    assert "split 'train': 3 values of −inf in audio became 0" in caplog.text
    assert first['inputs']['audio'].tolist() == [[0], [5]] and first['lengths']['audio'] == 2
    assert second['inputs']['audio'].tolist() == [[0], [0]]


@pytest.mark.parametrize('protocol', range(6))
def test_no_protocol_gives_items_that_share_memory(tmp_path, protocol):
    write_pickle(tmp_path / 'data.pkl', mult_data(), protocol)
    data = SentimentDataset(str(tmp_path), 'data.pkl', padding='file')
    before = data[0]['inputs']['text'].clone()
    data[0]['inputs']['text'].zero_()
    assert torch.equal(data[0]['inputs']['text'], before)


BAD = {
    'audio missing': ({k: v for k, v in by_hand().items() if k != 'audio'}, r"lacks \['audio'\]; it has"),
    'labels missing': ({k: v for k, v in by_hand().items() if k != 'labels'}, 'lacks labels or regression'),
    'emotions': (by_hand(labels=np.zeros((2, 4, 2))), r"'labels' has shape \(2, 4, 2\), not one sentiment"),
    'label NaN': (by_hand(labels=[NAN, 1]), r"'labels' holds 1 values .* in samples \[0\]"),
    'too few': (by_hand(vision=[[[1]]]), r"'vision' has shape \(1, 1, 1\), expected \(N, L, C\) with N = 2"),
    'flat': (by_hand(text=[[1, 2], [3, 4]]), r"'text' has shape \(2, 2\)"),
    'no token': (by_hand(text=np.zeros((2, 0, 3))), r"'text' has shape \(2, 0, 3\)"),
    'words': (by_hand(text=[['so'], ['good']]), "'text' is no array of numbers"),
    'ragged': (by_hand(audio=[[[1]], [[1], [2]]]), "'audio' is no array of numbers"),
    'audio NaN': (by_hand(audio=[[[1], [2]], [[NAN], [2]]]), r"'audio' holds 1 values .*samples \[1\]\."),
    'audio +inf': (by_hand(audio=[[[INF], [2]], [[1], [2]]]), r"'audio' holds 1 values .*samples \[0\]"),
    'vision −inf': (by_hand(vision=[[[-INF]], [[1]]]), r"'vision' holds 1 values .*samples \[0\]"),
    'many NaN': (
        dict(zip(MODALITIES, [np.full((9, 1, 1), NAN)] * 3, strict=True), labels=np.zeros(9)),
        r"'text' holds 9 values .*samples \[0, 1, 2, 3, 4\] and more",
    ),
    'lengths': (by_hand(audio_lengths=[1, 2, 3]), r"'audio_lengths' has shape \(3,\), expected \(2,\)"),
    'text_bert': (by_hand(text_bert=np.zeros((2, 4))), r"'text_bert' has shape \(2, 4\), expected \(2, 3, 4"),
}  # fmt: skip


@pytest.mark.parametrize('kind', BAD)
def test_bad_data_is_named(tmp_path, kind):
    raw, message = BAD[kind]
    with pytest.raises(ValueError, match=rf"data\.pkl, split 'train'.*{message}"):
        dataset(tmp_path, dict(train=raw))
    with pytest.raises(ValueError, match=message):
        convert_pickle(tmp_path / 'data.pkl', tmp_path / 'data.h5')
    assert [path.name for path in tmp_path.iterdir()] == ['data.pkl']


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(split='val'), r"data\.pkl has no split 'val'; it has .*'valid'"),
        (dict(padding='front'), "`padding` must be 'end' or 'file', got 'front'"),
        (dict(modalities=['image']), r"`modalities` must be some of .* got \['image'\]"),
        (dict(modalities=[]), r'`modalities` must be some of'),
        (dict(channels=dict(text=768)), r"'text' has 6 channels, the config says 768.*in_channels"),
    ],
)
@pytest.mark.parametrize('suffix', ['pkl', 'h5'])
def test_settings_that_do_not_fit_are_explained(tmp_path, settings, message, suffix):
    write_pickle(tmp_path / 'data.pkl', mult_data())
    convert_pickle(tmp_path / 'data.pkl', tmp_path / 'data.h5')
    with pytest.raises(ValueError, match=message.replace('pkl', suffix)):
        SentimentDataset(str(tmp_path), f'data.{suffix}', **settings)


@pytest.mark.parametrize('data', [[1, 2], dict(), dict(text=[1], labels=[2])])
def test_another_pickle_is_explained(tmp_path, data):
    with pytest.raises(ValueError, match=r'data\.pkl must hold \{split: \{text, audio, vision, labels\}\}'):
        dataset(tmp_path, data)


def test_a_pickle_that_would_run_a_command_is_refused(tmp_path):
    class Command:
        def __reduce__(self):
            return __import__('os').system, (f'touch {tmp_path / "ran"}',)

    with pytest.raises(UnsafePickleError, match=r"data\.pkl asks for '\w+\.system'"):
        dataset(tmp_path, dict(train=by_hand(annotations=Command())))
    assert not (tmp_path / 'ran').exists()


@pytest.mark.parametrize(('ann_file', 'convert'), [('aligned_50.pkl', False), ('unaligned_50.h5', True)])
def test_absent_data_is_explained(tmp_path, ann_file, convert):
    with pytest.raises(FileNotFoundError, match=r'download \w+_50\.pkl .*https://') as error:
        SentimentDataset(str(tmp_path / 'nowhere'), ann_file)
    assert ('tools/dataset_converters/sentiment.py' in str(error.value)) == convert


def test_another_hdf5_file_is_explained(tmp_path):
    h5py.File(tmp_path / 'data.h5', 'w').close()
    with pytest.raises(ValueError, match=r'data\.h5 is not in the format .* Convert the pickle again'):
        SentimentDataset(str(tmp_path), 'data.h5')
    write_pickle(tmp_path / 'data.pkl', mult_data())
    convert_pickle(tmp_path / 'data.pkl', tmp_path / 'data.h5')
    with h5py.File(tmp_path / 'data.h5', 'a') as file:
        text = file['train/text'][:]
        del file['train/text']
        file.create_dataset('train/text', data=text, compression='gzip')
    with pytest.raises(ValueError, match=r"data\.h5: '/train/text' was compressed.* Convert"):
        SentimentDataset(str(tmp_path), 'data.h5')
    (tmp_path / 'data.h5').write_bytes(b'no HDF5')
    with pytest.raises(OSError, match=r'data\.h5 cannot be read .* Convert the pickle again'):
        SentimentDataset(str(tmp_path), 'data.h5')


@pytest.mark.parametrize('suffix', ['pkl', 'h5'])
def test_worker_processes_read_the_same(tmp_path, suffix):
    write_pickle(tmp_path / 'data.pkl', mmsa_data(aligned=False))
    convert_pickle(tmp_path / 'data.pkl', tmp_path / 'data.h5')
    data = SentimentDataset(str(tmp_path), f'data.{suffix}')
    expected = next(iter(DataLoader(data, batch_size=12)))  # read here before the workers start
    batches = list(DataLoader(data, batch_size=6, num_workers=2))
    sent = pickle.loads(pickle.dumps(data))  # as to workers that are not forked
    for modality in MODALITIES:
        found = torch.cat([batch['inputs'][modality] for batch in batches])
        assert torch.equal(found, expected['inputs'][modality])
        assert torch.equal(found[5], sent[5]['inputs'][modality])
        assert found.shape == (12, UNALIGNED[modality], WIDTHS[modality])
    assert expected['labels'].shape == expected['lengths']['audio'].shape == (12,)


def test_indices_pick_samples(tmp_path):
    whole, part = dataset(tmp_path, mult_data()), dataset(tmp_path, mult_data(), indices=[3, 1])
    assert [item['labels'] for item in part] == [whole[3]['labels'], whole[1]['labels']]


def test_a_split_is_parsed_without_its_file():
    split = parse_split(by_hand(), 'here')
    assert len(split) == 2 and split.spans['text'].tolist() == [[2, 4], [0, 3]]

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


def with_lengths(rows: list, lengths: object, **entries) -> dict:
    """A split whose audio, one channel, is given by hand with its lengths."""
    audio, n = np.array(rows, dtype=np.float32)[..., None], len(rows)
    others = dict(text=np.ones((n, 1, 1)), vision=np.ones((n, 1, 1)), labels=np.zeros(n))
    return dict(audio=audio, audio_lengths=lengths, **others, **entries)


SPANS = {
    'at the end': ([[1, 2, 0, 0], [1, 2, 3, 0]], [2, 3], [[0, 2], [0, 3]]),
    'at the start': ([[0, 0, 1, 2], [0, 1, 2, 3]], [2, 3], [[2, 4], [1, 4]]),
    'rows of zeros at the edges are real': ([[0, 2, 0, 0], [1, 2, 3, 0]], [3, 3], [[0, 3], [0, 3]]),
    'likewise at the start': ([[0, 0, 2, 0], [0, 1, 0, 3]], [3, 3], [[1, 4], [1, 4]]),
    'what others say where one does not': ([[0, 1, 1, 0], [0, 1, 1, 1]], [3, 3], [[1, 4], [1, 4]]),
    'nothing but zeros goes with the others': ([[0, 0, 0, 0], [0, 0, 1, 1]], [2, 2], [[2, 4], [2, 4]]),
    'both ends': ([[0, 1, 2, 0], [1, 2, 0, 0]], [2, 2], [[1, 3], [0, 2]]),
    'no padding': ([[1, 2, 3, 4]], [4], [[0, 4]]),
    'cut': ([[1, 0, 3, 4], [1, 2, 0, 0]], [9, 2], [[0, 4], [0, 2]]),
    'missing': ([[0, 0, 0, 0], [1, 2, 0, 0]], [0, 2], [[0, 1], [0, 2]]),
    'whole numbers as floats': ([[1, 2, 0, 0]], [2.0], [[0, 2]]),
    'in a column': ([[1, 2, 0, 0], [1, 2, 3, 0]], [[2], [3]], [[0, 2], [0, 3]]),
    'objects': ([[1, 2, 0, 0]], np.array([2], dtype=object), [[0, 2]]),
}


@pytest.mark.parametrize('kind', SPANS)
def test_where_given_lengths_stand_is_seen_from_the_data(kind):
    rows, lengths, spans = SPANS[kind]
    assert parse_split(with_lengths(rows, lengths), 'here').spans['audio'].tolist() == spans


def test_what_lengths_leave_out_is_said(caplog, monkeypatch):
    monkeypatch.setattr(MMLogger.get_current_instance(), 'handlers', [caplog.handler])
    parse_split(with_lengths([[0, 0], [1, 1], [1, 1]], [0, 3, 2]), 'here')
    assert "here: 1 samples of 'audio' have length 0: one row of zeros" in caplog.text
    assert "here: 1 samples of 'audio' were cut to 2 rows" in caplog.text


BAD_LENGTHS = {
    'too short': ([[1, 2, 3, 0]], [2], r"of sample 0, 2, doesn't fit the rows of 'audio'"),
    'away from both ends': ([[0, 0, 1, 0, 0]], [2], r"of sample 0, 2, doesn't fit .*away from both ends"),
    'padding that is not zero': ([[1, 2, 9, 9], [1, 2, 3, 9]], [2, 3], r'\(2 samples: \[0, 1\]\)'),
    'zero for what is there': (
        [[1, 2, 0, 0]],
        [0],
        "of sample 0, 0, is 0, but 'audio' has rows other than zero",
    ),
    'negative': ([[1, 2, 0, 0]], [-2], 'of sample 0, -2, is negative'),
    'beyond': ([[1, 2, 0, 0], [1, 2, 3, 0]], [2, 5], r"of sample 1, 5, is beyond the 4 rows of 'audio'"),
    'halves': ([[1, 2, 0, 0]], [1.5], 'of sample 0, 1.5, is no whole number'),
    'NaN': ([[1, 2, 0, 0]], [NAN], 'of sample 0, nan, is no whole number'),
    'infinite': ([[1, 2, 0, 0]], [INF], 'is no whole number'),
    'huge': ([[1, 2, 0, 0]], [1e300], 'is no length'),
    'words': ([[1, 2, 0, 0]], ['two'], 'holds no numbers'),
    'numbers as words': ([[1, 2, 0, 0]], ['2'], 'expected integers'),
    'of other samples': ([[1, 2, 0, 0]], [2, 2], r'has shape \(2,\), expected \(1,\)'),
    'nested': ([[1, 2, 0, 0]], [[2, 2]], r'has shape \(1, 2\)'),
    'none': ([[1, 2, 0, 0]], None, r'has shape \(\)'),
}


@pytest.mark.parametrize('kind', BAD_LENGTHS)
def test_lengths_that_do_not_fit_are_named(kind):
    rows, lengths, message = BAD_LENGTHS[kind]
    with pytest.raises(ValueError, match=f"here: 'audio_lengths' .*{message}"):
        parse_split(with_lengths(rows, lengths), 'here')


@pytest.mark.parametrize('suffix', ['pkl', 'h5'])
@pytest.mark.parametrize('at', ['start', 'end'])
def test_padding_at_either_end_loses_nothing(tmp_path, at, suffix):
    data = mmsa_data(aligned=False)
    for split in data.values():
        split['audio'][:, 1] = 0  # a row of zeros inside
        for modality in ('audio', 'vision') if at == 'start' else ():
            lengths = split[f'{modality}_lengths']
            rolled = [np.roll(x, len(x) - n, 0) for x, n in zip(split[modality], lengths, strict=True)]
            split[modality] = np.array(rolled)
    write_pickle(tmp_path / 'data.pkl', data)
    convert_pickle(tmp_path / 'data.pkl', tmp_path / 'data.h5')
    for index, item in enumerate(SentimentDataset(str(tmp_path), f'data.{suffix}')):
        for modality in ('audio', 'vision'):
            x, length = data['train'][modality][index], data['train'][f'{modality}_lengths'][index]
            expected = x[-length:] if at == 'start' else x[:length]
            assert item['lengths'][modality] == length
            assert np.array_equal(item['inputs'][modality][:length], expected)


@pytest.mark.parametrize(
    'beside', [dict(audio=dict(tool='opensmile'), text=dict(model='bert')), {}, 'features 1.0', [1], None]
)
def test_what_stands_beside_the_splits_is_no_split(tmp_path, beside, caplog, monkeypatch):
    monkeypatch.setattr(MMLogger.get_current_instance(), 'handlers', [caplog.handler])
    write_pickle(tmp_path / 'data.pkl', dict(config=beside, **mult_data()))
    assert convert_pickle(tmp_path / 'data.pkl', tmp_path / 'data.h5') == SIZES
    assert "data.pkl: ['config'] are no splits" in caplog.text
    assert len(SentimentDataset(str(tmp_path), 'data.pkl')) == SIZES['train']


@pytest.mark.parametrize('name', ['train', 'valid', 'fold1'])
def test_a_damaged_split_is_not_passed_over(tmp_path, name):
    damaged = dict(text=np.zeros((2, 1, 1)), audio=np.zeros((2, 1, 1)))
    write_pickle(tmp_path / 'data.pkl', {**mult_data(), name: damaged})
    with pytest.raises(ValueError, match=f"split '{name}' lacks"):
        convert_pickle(tmp_path / 'data.pkl', tmp_path / 'data.h5')


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
    'mask': (by_hand(text_bert=np.full((2, 3, 4), 101)), "mask in 'text_bert'.* other numbers than 0 and 1"),
    'digits': (by_hand(audio=[[['1']], [['2']]]), "'audio' is no array of numbers .*<U1"),
    'complex': (by_hand(audio=[[[1j]], [[1]]]), "'audio' is no array of numbers .*complex"),
    'too large': (by_hand(audio=[[[-1e300]], [[1]]]), "'audio' is no array of numbers that float32 can hold"),
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
        (
            dict(modalities=['image']),
            r"data\.pkl, split 'train',? lacks \['image'\]; it has .*'vision'.* `keys`",
        ),
        (dict(keys=['text']), '`keys` must be what the file calls each modality'),
        (dict(modalities=['text'], keys=dict(audio='acoustic')), r"`keys` names \['audio'\]"),
        (dict(modalities=[]), r'`modalities` must name one or more'),
        (dict(channels=dict(text=768)), r"'text' has 6 channels, the config says 768.*in_channels"),
    ],
)
@pytest.mark.parametrize('suffix', ['pkl', 'h5'])
def test_settings_that_do_not_fit_are_explained(tmp_path, settings, message, suffix):
    write_pickle(tmp_path / 'data.pkl', mult_data())
    convert_pickle(tmp_path / 'data.pkl', tmp_path / 'data.h5')
    with pytest.raises(ValueError, match=message.replace('pkl', suffix)):
        SentimentDataset(str(tmp_path), f'data.{suffix}', **settings)


@pytest.mark.parametrize('suffix', ['pkl', 'h5'])
def test_fewer_modalities_under_other_names_are_read(tmp_path, suffix):
    whole = mult_data()
    names = dict(language='text', visual='vision')
    renamed = {
        split: {new: raw[old] for new, old in dict(names, labels='labels').items()}
        for split, raw in whole.items()
    }
    write_pickle(tmp_path / 'whole.pkl', whole)
    write_pickle(tmp_path / 'data.pkl', renamed)
    convert_pickle(tmp_path / 'data.pkl', tmp_path / 'data.h5', {name: name for name in names})
    keys = dict(text='language', vision='visual')
    found = SentimentDataset(str(tmp_path), f'data.{suffix}', modalities=['text', 'vision'], keys=keys)
    expected = SentimentDataset(str(tmp_path), 'whole.pkl', modalities=['text', 'vision'])
    own_names = SentimentDataset(str(tmp_path), f'data.{suffix}', modalities=['visual'])
    for a, b, c in zip(found, expected, own_names, strict=True):
        for modality in ('text', 'vision'):
            assert torch.equal(a['inputs'][modality], b['inputs'][modality])
            assert a['lengths'][modality] == b['lengths'][modality]
        assert torch.equal(c['inputs']['visual'], b['inputs']['vision'])


@pytest.mark.parametrize('name', ['data.csv', 'data.npz', 'data.h5'])
def test_a_file_that_is_no_pickle_is_told_where_it_belongs(tmp_path, name):
    (tmp_path / name).write_bytes(b'1,2')
    with pytest.raises(ValueError, match=r'is no pickle\. FeatureDataset reads such files'):
        convert_pickle(tmp_path / name, tmp_path / 'out.h5')


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'PK\x03\x04', 'is a zip archive, as .npz files'),
        (b'\x1f\x8b\x08', 'is compressed by gzip'),
        (b'\x89HDF\r\n\x1a\n', 'is an HDF5 file, and no pickle'),
        (b'<!DOCTYPE html>', 'is a web page'),
        (b'version https://git-lfs.github.com/spec/v1\noid', 'stands for a file in Git LFS'),
        (b'', 'is empty'),
    ],
)
def test_what_is_called_a_pickle_and_is_none_is_named(tmp_path, content, message):
    (tmp_path / 'data.pkl').write_bytes(content)
    with pytest.raises(ValueError, match=rf'data\.pkl {message}'):
        SentimentDataset(str(tmp_path), 'data.pkl')


@pytest.mark.parametrize('labels', [['-3', '1.5'], [b'-3', b'1.5'], np.array(['-3', 1.5], dtype=object)])
def test_labels_may_be_text(tmp_path, labels):
    items = dataset(tmp_path, dict(train=by_hand(labels=labels)))
    assert [item['labels'].item() for item in items] == [-3, 1.5]


def test_two_labels_that_differ_must_be_told_apart(tmp_path):
    raw = by_hand(labels=[0, 1], regression_labels=[-2.4, 1.2])
    with pytest.raises(ValueError, match=r"has both 'labels' and 'regression_labels'.*keys=dict\(labels="):
        dataset(tmp_path, dict(train=raw))
    for key, expected in (('labels', [0, 1]), ('regression_labels', [-2.4, 1.2])):
        found = dataset(tmp_path, dict(train=raw), keys=dict(labels=key))
        assert [item['labels'].item() for item in found] == pytest.approx(expected)
        convert_pickle(tmp_path / 'data.pkl', tmp_path / 'data.h5', dict(labels=key))
        stored = SentimentDataset(str(tmp_path), 'data.h5')
        assert [item['labels'].item() for item in stored] == pytest.approx(expected)
        with pytest.raises(ValueError, match='take `labels` out of `keys`'):
            SentimentDataset(str(tmp_path), 'data.h5', keys=dict(labels=key))
    same = dataset(tmp_path, dict(train=by_hand(regression_labels=[1.5, -3])))
    assert [item['labels'].item() for item in same] == [1.5, -3]


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
    assert ('mmcggm convert sentiment' in str(error.value)) == convert


def test_another_hdf5_file_is_explained(tmp_path):
    h5py.File(tmp_path / 'data.h5', 'w').close()
    with pytest.raises(
        ValueError, match=r'data\.h5 is not what .*convert sentiment` writes.* FeatureDataset'
    ):
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
    with pytest.raises(ValueError, match=r'data\.h5 cannot be read .* Convert the pickle again'):
        SentimentDataset(str(tmp_path), 'data.h5')


def store_of(tmp_path) -> h5py.File:
    write_pickle(tmp_path / 'data.pkl', mult_data())
    convert_pickle(tmp_path / 'data.pkl', tmp_path / 'data.h5')
    return h5py.File(tmp_path / 'data.h5', 'a')


@pytest.mark.parametrize('padding', ['end', 'file'])
def test_a_feature_that_changed_is_found_when_it_is_read(tmp_path, padding):
    with store_of(tmp_path) as file:
        file['train/audio'][3, file['train/audio_span'][3, 0], 1] = NAN
    data = SentimentDataset(str(tmp_path), 'data.h5', padding=padding)
    assert data[2]['inputs']
    for _ in range(2):
        with pytest.raises(ValueError, match=r'data\.h5 is damaged in sample 3\. Convert the pickle again'):
            data[3]


def test_padding_that_changed_is_found_where_it_is_read(tmp_path):
    with store_of(tmp_path) as file:
        rows = file['train/audio']
        whole = rows[3]
        start, stop = file['train/audio_span'][3]
        assert stop - start < len(whole)
        rows[3, 0 if start else stop, 1] = NAN
    audio = SentimentDataset(str(tmp_path), 'data.h5')[3]['inputs']['audio'].numpy()
    assert np.array_equal(audio[: stop - start], whole[start:stop])
    with pytest.raises(ValueError, match=r'data\.h5 is damaged in sample 3'):
        SentimentDataset(str(tmp_path), 'data.h5', padding='file')[3]


def change_label(file):
    file['train/labels'][0] += 1


def change_span(file):
    file['train/text_span'][1] = [0, 99]


def change_checksum(file):
    file['train/text_checksum'][1] = 0


def swap_splits(file):
    file.move('train', 'other')
    file.move('valid', 'train')


def transpose(file):
    text = file['train/text'][:]
    del file['train/text']
    file['train/text'] = text.reshape(text.shape[0], text.shape[2], text.shape[1])


def other_type(file):
    text = file['train/text'][:]
    del file['train/text']
    file['train/text'] = text.view(np.int32)


def forget(file):
    del file['train/audio_span']


def link_outside(file):
    with h5py.File(file.filename + '.other', 'w') as other:
        file.copy('train', other)
    del file['train']
    file['train'] = h5py.ExternalLink(file.filename + '.other', 'train')


@pytest.mark.parametrize(
    'change',
    [change_label, change_span, change_checksum, swap_splits, transpose, other_type, forget, link_outside],
)
def test_a_store_that_changed_is_refused(tmp_path, change):
    with store_of(tmp_path) as file:
        change(file)
    with pytest.raises(ValueError, match=r'data\.h5.*Convert the pickle again'):
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


@pytest.mark.parametrize('suffix', ['pkl', 'h5'])
@pytest.mark.parametrize(
    ('labels', 'said'),
    [
        ([1, 5], 'from 1 to 5; 1 of 2 lie outside of −3 to 3; all are on one side of 0'),
        ([-1, 4], 'from -1 to 4; 1 of 2 lie outside of −3 to 3. Bring'),
        ([0, 2], 'from 0 to 2; all are on one side of 0'),
        ([-1, -2], 'all are on one side of 0'),
        ([-1, 2], None),
    ],
)
def test_labels_that_do_not_fit_the_task_are_said(tmp_path, caplog, monkeypatch, labels, said, suffix):
    write_pickle(tmp_path / 'data.pkl', dict(train=by_hand(labels=labels)))
    convert_pickle(tmp_path / 'data.pkl', tmp_path / 'data.h5')
    monkeypatch.setattr(MMLogger.get_current_instance(), 'handlers', [caplog.handler])
    SentimentDataset(str(tmp_path), f'data.{suffix}')
    assert (said is None) == ('labels' not in caplog.text) and (said or '') in caplog.text


def test_indices_pick_samples(tmp_path):
    whole, part = dataset(tmp_path, mult_data()), dataset(tmp_path, mult_data(), indices=[3, 1])
    assert [item['labels'] for item in part] == [whole[3]['labels'], whole[1]['labels']]


def test_a_split_is_parsed_without_its_file():
    split = parse_split(by_hand(), 'here')
    assert len(split) == 2 and split.spans['text'].tolist() == [[2, 4], [0, 3]]

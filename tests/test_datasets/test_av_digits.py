"""AV digits: from recordings to pairs."""

import runpy
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip('sklearn')
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import wavfile
from sklearn.datasets import load_digits

from mmcggm.datasets import AVDigitsDataset
from mmcggm.datasets.av_digits.converter import FILE, RecordingError, convert_folder, log_mel, read_recording
from tests.formats.av_digits import SPEAKERS, write_synthetic_recordings

TOOL = Path(__file__).parents[2] / 'tools' / 'dataset_converters' / 'av_digits.py'


@pytest.fixture(scope='module')
def recordings(tmp_path_factory) -> Path:
    return write_synthetic_recordings(tmp_path_factory.mktemp('recordings'))


@pytest.fixture(scope='module')
def root(recordings, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp('av_digits')
    assert convert_folder(recordings, out) == (360, {})
    return out


def tone(pitch: float, seconds: float, loudness: float = 1.0) -> np.ndarray:
    time = np.arange(round(8000 * seconds)) / 8000
    return (32767 * loudness * np.sin(2 * np.pi * pitch * time)).astype(np.int16)


def clean_image(dataset: AVDigitsDataset, index: int) -> np.ndarray:
    return dataset[index]['inputs']['image'][0].numpy() * 16


def test_a_tone_is_loudest_in_its_band():
    # 1 kHz is 15 mel on Slaney's scale, where it turns from linear to logarithmic; 4 kHz is 35.2, and the
    # 40 bands are centred at multiples of 35.2 / 41.
    spectrogram = log_mel(tone(1000, 0.5))
    assert spectrogram.shape == (40, 50) and spectrogram.dtype == np.float32
    assert spectrogram.max() == 1 and spectrogram.min() == 0
    assert abs((spectrogram[:, 15].argmax() + 1) * 35.16 / 41 - 15) <= 35.16 / 41 / 2


def test_short_recordings_end_in_silence_and_long_ones_are_cut():
    assert not log_mel(tone(500, 0.2))[:, 14:].any() and log_mel(tone(500, 0.2))[:, :12].any(axis=0).all()
    assert log_mel(tone(500, 2.0)).shape == (40, 50)


@given(loudness=st.floats(0.1, 1.0))
def test_loudness_does_not_matter(loudness):
    assert np.allclose(log_mel(tone(700, 0.3, loudness)), log_mel(tone(700, 0.3)), atol=0.15)
    samples = (10_000 * np.random.default_rng(0).uniform(-1, 1, 3000)).astype(np.int16)
    assert np.allclose(log_mel(3 * samples), log_mel(samples), atol=1e-5)


def test_file_holds_what_the_names_say(root):
    with np.load(root / FILE, allow_pickle=False) as file:
        stored = dict(file)
    assert stored['audio'].shape == (360, 40, 50) and stored['audio'].dtype == np.float16
    assert stored['image'].shape == (1797, 8, 8) and stored['image'].max() == 16
    triples = set(zip(stored['label'], stored['speaker'], stored['index'], strict=True))
    assert triples == {(d, s, i) for d in range(10) for s in SPEAKERS for i in range(12)}
    digits = load_digits()
    truth = {image.tobytes(): label for image, label in zip(digits.images, digits.target, strict=True)}
    for image, label in zip(stored['image'], stored['image_label'], strict=True):
        assert truth[image.astype(float).tobytes()] == label


def test_conversion_is_repeatable_and_the_seed_moves_images(recordings, root, tmp_path):
    for name, seed in (('same', 0), ('other', 1)):
        convert_folder(recordings, tmp_path / name, seed=seed)
    first, same, other = (dict(np.load(p / FILE)) for p in (root, tmp_path / 'same', tmp_path / 'other'))
    assert all(np.array_equal(first[key], same[key]) for key in first)
    assert np.array_equal(first['audio'], other['audio'])
    assert not np.array_equal(first['image'], other['image'])


@pytest.mark.parametrize('split_by', ['index', 'speaker'])
def test_no_recording_and_no_image_is_in_two_splits(root, split_by):
    with np.load(root / FILE) as file:
        speaker, index, label, image_label = (file[k] for k in ('speaker', 'index', 'label', 'image_label'))
    seen: dict[str, dict[str, set]] = {}
    for split in ('train', 'val', 'test'):
        dataset = AVDigitsDataset(root, split, split_by)
        items = [dataset.get_data_info(i) for i in range(len(dataset))]
        seen[split] = {key: {item[key] for item in items} for key in ('recording', 'image')}
        for item in items:
            assert label[item['recording']] == image_label[item['image']] == item['label']
            own = index[item['recording']], speaker[item['recording']]
            if split_by == 'speaker':
                assert own[1] == dict(train='george', val='theo', test='yweweler')[split]
            else:
                assert {'test': own[0] < 5, 'val': 5 <= own[0] < 10, 'train': own[0] >= 10}[split]
    for key in ('recording', 'image'):
        assert sum(len(s[key]) for s in seen.values()) == len(set().union(*(s[key] for s in seen.values())))
    assert sum(len(s['recording']) for s in seen.values()) == 360


def test_speakers_can_be_chosen(root):
    options = dict(split_by='speaker', val_speaker='yweweler', test_speaker='george')
    with np.load(root / FILE) as file:
        speaker = file['speaker']
    dataset = AVDigitsDataset(root, 'test', **options)
    assert {speaker[dataset.get_data_info(i)['recording']] for i in range(len(dataset))} == {'george'}


def test_a_sample_has_the_promised_form(root):
    sample = AVDigitsDataset(root, 'train')[7]
    assert {m: (x.shape, x.dtype) for m, x in sample['inputs'].items()} == dict(
        audio=((1, 40, 50), torch.float32), image=((1, 8, 8), torch.float32)
    )
    assert sample['labels'].shape == () and sample['labels'].dtype == torch.int64


def test_noise_is_fresh_in_training_and_fixed_elsewhere(root):
    train, val = (AVDigitsDataset(root, split, image_noise=0.5) for split in ('train', 'val'))
    assert not np.array_equal(clean_image(train, 0), clean_image(train, 0))
    assert np.array_equal(clean_image(val, 0), clean_image(val, 0))
    part = AVDigitsDataset(root, 'val', image_noise=0.5, indices=[3])
    assert np.array_equal(clean_image(val, 3), clean_image(part, 0))
    plain = AVDigitsDataset(root, 'val')
    noise = np.concatenate([clean_image(val, i) - clean_image(plain, i) for i in range(len(val))]) / 16
    assert abs(noise.mean()) < 0.02 and noise.std() == pytest.approx(0.5, rel=0.03)
    assert len(np.unique(noise.round(6))) > 0.95 * noise.size  # of its own for each item


def test_training_noise_follows_the_global_seed(root):
    dataset = AVDigitsDataset(root, 'train', image_noise=0.5)
    torch.manual_seed(3)
    first = clean_image(dataset, 0)
    torch.manual_seed(3)
    assert np.array_equal(first, clean_image(dataset, 0))


@pytest.mark.parametrize(('share', 'pixels'), [(0.0, 0), (0.25, 16), (0.5, 36), (1.0, 64)])
def test_occlusion_hides_a_square(root, share, pixels):
    dataset, train = (
        AVDigitsDataset(root, split, image_noise=0.5, image_occlusion=share) for split in ('test', 'train')
    )
    together = [item['inputs']['image'][0].numpy() for item in train.__getitems__(range(9))]
    corners = set()
    for image in [*(clean_image(dataset, index) for index in range(5)), *together]:
        rows, columns = np.nonzero(image == 0)
        assert len(rows) == pixels
        if pixels:
            assert (np.ptp(rows) + 1) * (np.ptp(columns) + 1) == pixels
            corners.add((rows[0], columns[0]))
    assert len(corners) > 4 or pixels in (0, 64)  # each has its own place
    assert np.array_equal(clean_image(dataset, 0), clean_image(dataset, 0))


def test_absent_data_is_explained(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'download .*mmcggm convert av_digits'):
        AVDigitsDataset(tmp_path / 'nowhere')


def test_a_file_of_another_kind_is_refused(root, tmp_path):
    (tmp_path / FILE).write_bytes(b'no archive')
    with pytest.raises(ValueError, match=r'av_digits.npz is not what .* run it again'):
        AVDigitsDataset(tmp_path)
    np.savez(tmp_path / FILE, audio=np.zeros(3))
    with pytest.raises(ValueError, match='label'):
        AVDigitsDataset(tmp_path)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (
            dict(label=lambda x: x - 1),
            r"'label' in .*av_digits\.npz must be whole numbers .*such as -1 of sample",
        ),
        (dict(image_label=lambda x: x + 1), "'image_label' in .*such as 10 of sample"),
        (dict(label=lambda x: x + 0.5), "'label' in .*but are float64"),
        (dict(label=lambda x: x[:, None]), r"'label' in .*of shape \(360, 1\)"),
        (dict(label=lambda x: x[:-1]), "must hold as many of each.*'audio': 360, 'label': 359"),
        (dict(image=lambda x: x[:-1]), "must hold as many of each.*'image': 1796"),
        (dict(label=lambda x: x.astype(object)), 'is not what .* run it again'),
    ],
)
def test_labels_that_are_none_are_refused(root, tmp_path, changes, message):
    with np.load(root / FILE) as file:
        stored = dict(file)
    np.savez(
        tmp_path / FILE, **{**stored, **{name: change(stored[name]) for name, change in changes.items()}}
    )
    with pytest.raises(ValueError, match=message):
        AVDigitsDataset(tmp_path)


def test_a_compressed_file_is_refused(root, tmp_path):
    with np.load(root / FILE) as file:
        np.savez_compressed(tmp_path / FILE, **file)
    with pytest.raises(ValueError, match='is compressed'):
        AVDigitsDataset(tmp_path)


def test_a_split_without_recordings_is_refused(tmp_path):
    convert_folder(write_synthetic_recordings(tmp_path / 'few', recordings=4), tmp_path)
    with pytest.raises(ValueError, match="leaves no recording for `split='train'`"):
        AVDigitsDataset(tmp_path)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(split='dev'), '`split`'),
        (dict(split_by='hour'), '`split_by`'),
        (dict(image_noise=-1), '`image_noise`'),
        (dict(image_occlusion=1.5), '`image_occlusion`'),
        (dict(val_speaker='yweweler'), '`val_speaker` and `test_speaker`'),
        (dict(split_by='speaker', test_speaker='nobody'), r"`test_speaker` is 'nobody'.*george"),
    ],
)
def test_bad_arguments_are_refused(root, options, message):
    with pytest.raises(ValueError, match=message):
        AVDigitsDataset(root, **options)


BAD = {
    'noise.wav': (8000, tone(300, 0.2), 'its name'),
    '3_theo_1.wav': (16000, tone(300, 0.2), '16000 Hz'),
    '4_theo_1.wav': (8000, np.stack([tone(300, 0.2)] * 2, axis=1), '2 channels'),
    '5_theo_1.wav': (8000, tone(300, 0.2).astype(np.float32), 'unknown format: 3'),
    '6_theo_1.wav': (8000, np.zeros(999, np.int16), 'silent'),
    '7_theo_1.wav': (8000, np.zeros(0, np.int16), 'silent'),
}


@pytest.fixture
def spoilt(tmp_path) -> Path:
    folder = write_synthetic_recordings(tmp_path / 'spoilt', digits=3, speakers=['theo'], recordings=1)
    for name, (rate, samples, _) in BAD.items():
        wavfile.write(folder / name, rate, samples)
    (folder / '8_theo_1.wav').write_bytes(b'RIFF but broken')
    return folder


def changed(content: bytes, place: int, form: str, value: int) -> bytes:
    return content[:place] + struct.pack(form, value) + content[place + struct.calcsize(form) :]


DAMAGE = {
    'cut': (lambda c: c[:-100], 'it was cut: 1600 samples are promised, 1550 are there'),
    'cut in the header': (lambda c: c[:30], 'no readable wav'),
    'promises more': (lambda c: changed(c, 40, '<I', 99_999_998), 'it was cut: 49999999 samples'),
    'promises less': (lambda c: changed(c, 40, '<I', 100), 'of which its headers tell otherwise'),
    'file size': (lambda c: changed(c, 4, '<I', 100), '1600 samples are promised, 32 are there'),
    'appended': (lambda c: c + bytes(100), 'of which its headers tell otherwise'),
    '8 bits': (lambda c: changed(changed(c, 34, '<H', 8), 32, '<H', 1), 'has 8 bits'),
    '24 bits': (lambda c: changed(changed(c, 34, '<H', 24), 32, '<H', 3), 'has 24 bits'),
    'stereo': (lambda c: changed(c, 22, '<H', 2), '2 channels'),
    'no channels': (lambda c: changed(c, 22, '<H', 0), 'no readable wav'),
    'another rate': (lambda c: changed(c, 24, '<I', 44100), '44100 Hz'),
    'another coding': (lambda c: changed(c, 20, '<H', 7), 'unknown format: 7'),
    'empty file': (lambda c: b'', 'no readable wav'),
    'no data': (lambda c: changed(c[:36], 4, '<I', 28), 'no readable wav'),
    'no samples': (lambda c: changed(changed(c[:44], 40, '<I', 0), 4, '<I', 36), 'silent'),
}


@pytest.mark.parametrize('kind', DAMAGE)
def test_a_damaged_recording_says_what_it_is(tmp_path, kind):
    path = tmp_path / '1_theo_1.wav'
    wavfile.write(path, 8000, tone(300, 0.2))
    change, reason = DAMAGE[kind]
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(RecordingError, match=reason):
        read_recording(path)


def test_a_recording_may_have_other_chunks(tmp_path):
    path = tmp_path / '1_theo_1.wav'
    wavfile.write(path, 8000, tone(300, 0.2))
    expected, content = read_recording(path).spectrogram, path.read_bytes() + b'LIST\x03\0\0\0abc\0'
    path.write_bytes(changed(content, 4, '<I', len(content) - 8))
    assert np.array_equal(read_recording(path).spectrogram, expected)


def test_bad_recordings_are_named_and_nothing_is_written(spoilt, tmp_path):
    written, bad = convert_folder(spoilt, tmp_path / 'out')
    assert written == 0 and not (tmp_path / 'out').exists()
    assert set(bad) == {*BAD, '8_theo_1.wav'} and 'no readable wav' in bad['8_theo_1.wav']
    for name, (*_, reason) in BAD.items():
        assert reason in bad[name]


def test_tool_says_what_to_do(spoilt, tmp_path, monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(TOOL), run_name='__main__')
        return end.value.code, *capsys.readouterr()

    code, out, err = run(spoilt, '--out', tmp_path / 'out')
    assert code == 1 and 'BAD 6_theo_1.wav: it is silent' in err
    assert '--skip-bad' in out and not (tmp_path / 'out').exists()
    code, out, _ = run(spoilt, '--out', tmp_path / 'out', '--skip-bad')
    assert code == 0 and '3 recordings written, 7 bad' in out and (tmp_path / 'out' / FILE).exists()
    code, _, err = run(tmp_path, '--out', tmp_path / 'out')
    assert code == 1 and 'holds no wav files' in err


def test_only_bad_recordings_are_refused(tmp_path):
    wavfile.write(tmp_path / '6_theo_1.wav', 8000, np.zeros(999, np.int16))
    with pytest.raises(ValueError, match=r'6_theo_1.wav: it is silent'):
        convert_folder(tmp_path, tmp_path / 'out', skip_bad=True)


def test_real_recordings_are_complete(real_data, tmp_path):
    folder = real_data / 'fsdd' / 'recordings'
    if not folder.is_dir():
        pytest.skip(f'no spoken digits in {folder}')
    assert convert_folder(folder, tmp_path) == (3000, {})
    sizes = {split: len(AVDigitsDataset(tmp_path, split)) for split in ('train', 'val', 'test')}
    assert sizes == dict(train=2400, val=300, test=300)

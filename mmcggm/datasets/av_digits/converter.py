"""From a folder of spoken digits to one file of audio-visual digits."""

from __future__ import annotations

import io
import re
import sys
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mmcggm.utils import import_optional
from mmcggm.utils.atomic import remove_stale, replacing

FILE = 'av_digits.npz'
SAMPLE_RATE = 8000  # Hz
FRAME, HOP = 256, 128  # samples: 32 ms and 16 ms
MELS, FRAMES = 40, 50  # 0.8 s, which 98 % of the recordings do not exceed
DECIBELS = 80.0  # below the loudest value; what is quieter is silence
HELD_OUT_IMAGES = 0.2  # of each class, for validation and again for test

NAME = re.compile(r'(?P<digit>\d)_(?P<speaker>[^_]+)_(?P<index>\d+)\.wav')


class RecordingError(ValueError):
    """A recording that can't be used."""


@dataclass(frozen=True)
class Recording:
    """A spoken digit: what its file name says, and its spectrogram, see :func:`log_mel`."""

    digit: int
    speaker: str
    index: int
    spectrogram: np.ndarray


def read_recording(path: Path) -> Recording:
    """Read ``{digit}_{speaker}_{index}.wav``.

    Raises:
        RecordingError: If the name is of another form, or the file is no mono recording of 16 bits at
            8 kHz, is not whole, or is silent.
    """
    name = NAME.fullmatch(path.name)
    if name is None:
        raise RecordingError('its name is not of the form {digit}_{speaker}_{index}.wav')
    samples = _read_wav(path)
    if not samples.any():
        raise RecordingError('it is silent')
    return Recording(int(name['digit']), name['speaker'], int(name['index']), log_mel(samples))


def _read_wav(path: Path) -> np.ndarray:
    """Return the samples, int16 ``(S,)``, of a file whose headers and bytes agree.

    Of one that was cut, other readers return what there is.
    """
    try:
        content = path.read_bytes()
        file = io.BytesIO(content)
        with wave.open(file) as recording:
            width, channels, rate = (
                recording.getsampwidth(), recording.getnchannels(), recording.getframerate()
            )  # fmt: skip
            promised = recording.getnframes() * channels * width
            samples = recording.readframes(recording.getnframes())
        rest = content[file.tell() :]
        while len(rest) >= 8 and len(rest) >= (size := 8 + int.from_bytes(rest[4:8], 'little')):
            rest = rest[size + size % 2 :]
    except Exception as error:  # wave raises whatever the broken bytes lead to
        raise RecordingError(f'it is no readable wav file ({type(error).__name__}: {error})') from error
    if (width, channels, rate) != (2, 1, SAMPLE_RATE):
        raise RecordingError(
            f'it must be 16-bit mono at {SAMPLE_RATE} Hz, but has {8 * width} '
            f'bits, {channels} channels and {rate} Hz'
        )
    if len(samples) != promised:
        raise RecordingError(
            f'it was cut: {promised // 2} samples are promised, {len(samples) // 2} are there'
        )
    stated = int.from_bytes(content[4:8], 'little') + 8
    if rest or not stated <= len(content) <= stated + 1:
        raise RecordingError(f'it has {len(content)} bytes, of which its headers tell otherwise ({stated})')
    return np.frombuffer(samples, '<i2')


def log_mel(samples: np.ndarray) -> np.ndarray:
    """Return the log-mel spectrogram of a recording, independent of its loudness.

    Args:
        samples: Shape (S,), at 8 kHz, not all zero.

    Returns:
        float32, shape (40, 50), frames of 32 ms every 16 ms. 1 is the loudest value of the recording, 0
        is 80 dB below it or less. A short recording is followed by silence, a long one is cut.
    """
    audio = import_optional('transformers.audio_utils', extra='data')
    filters = audio.mel_filter_bank(
        num_frequency_bins=FRAME // 2 + 1,
        num_mel_filters=MELS,
        min_frequency=0.0,
        max_frequency=SAMPLE_RATE / 2,
        sampling_rate=SAMPLE_RATE,
        norm='slaney',
        mel_scale='slaney',
    )
    decibels = audio.spectrogram(
        samples / np.abs(samples.astype(np.float64)).max(),
        audio.window_function(FRAME, 'hann'),
        frame_length=FRAME,
        hop_length=HOP,
        power=2.0,
        pad_mode='constant',
        mel_filters=filters,
        log_mel='dB',
    )
    values = 1 + (decibels - decibels.max()) / DECIBELS
    result = np.zeros((MELS, FRAMES), dtype=np.float32)
    result[:, : values.shape[1]] = values.clip(min=0)[:, :FRAMES]
    return result


def digit_images(seed: int) -> dict[str, np.ndarray]:
    """Return scikit-learn's 1,797 handwritten digits, shuffled and split, see :func:`convert_folder`."""
    datasets = import_optional('sklearn.datasets', extra='data')
    selection = import_optional('sklearn.model_selection', extra='data')
    digits = datasets.load_digits()

    def halve(indices: np.ndarray, share: float) -> list[np.ndarray]:
        labels = digits.target[indices]
        return selection.train_test_split(indices, test_size=share, stratify=labels, random_state=seed)

    train, held_out = halve(np.arange(len(digits.target)), 2 * HELD_OUT_IMAGES)
    val, test = halve(held_out, 0.5)
    order = np.concatenate([train, val, test])
    return dict(
        image=digits.images[order].astype(np.uint8),
        image_label=digits.target[order].astype(np.int64),
        image_split=np.repeat(['train', 'val', 'test'], [len(train), len(val), len(test)]),
    )


def convert_folder(
    source: str | Path, out: str | Path, *, skip_bad: bool = False, seed: int = 0
) -> tuple[int, dict[str, str]]:
    """Write ``out/av_digits.npz``, which holds R recordings and I images.

    ========================  ==================================================================
    ``audio``                 float16 (R, 40, 50): see :func:`log_mel`
    ``label``                 int64 (R,): the digit
    ``speaker``, ``index``    str (R,) and int64 (R,): who speaks, and the how many-eth time
    ``image``                 uint8 (I, 8, 8): brightness from 0 to 16
    ``image_label``           int64 (I,): the digit
    ``image_split``           str (I,): ``'train'``, ``'val'`` or ``'test'``
    ========================  ==================================================================

    Which recordings train and which test is the data set's choice; it pairs a recording with an image
    of its own split. Nothing is written while files are bad and not skipped.

    Args:
        source: Folder of ``{digit}_{speaker}_{index}.wav``, for example the ``recordings`` of the Free
            Spoken Digit Dataset.
        out: Folder of the file; made if absent.
        skip_bad: Whether bad files are left out.
        seed: Of the images' order and split.

    Returns:
        The number of recordings written, and why others are bad, by file name.

    Raises:
        FileNotFoundError: If ``source`` holds no wav file.
        ValueError: If every recording is bad.
    """
    paths = sorted(Path(source).glob('*.wav'))
    if not paths:
        raise FileNotFoundError(
            f"'{source}' holds no wav files: name the folder `recordings` of the Free Spoken Digit Dataset."
        )
    images = digit_images(seed)
    recordings, bad = _read_all(paths)
    if bad and not skip_bad:
        return 0, bad
    if not recordings:
        raise ValueError(f"'{source}' holds no recording that can be used; the first is bad: {_first(bad)}.")
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    remove_stale(out)
    with replacing(out / FILE) as temporary:
        np.savez(
            temporary,
            audio=np.stack([r.spectrogram for r in recordings]).astype(np.float16),
            label=np.array([r.digit for r in recordings], dtype=np.int64),
            speaker=np.array([r.speaker for r in recordings]),
            index=np.array([r.index for r in recordings], dtype=np.int64),
            **images,
        )
    return len(recordings), bad


def _read_all(paths: Sequence[Path]) -> tuple[list[Recording], dict[str, str]]:
    recordings, bad = [], {}
    interval = 0.1 if sys.stderr.isatty() else 10  # a log file would not want ten lines a second
    for path in tqdm(paths, desc='Reading', unit='recording', mininterval=interval):
        try:
            recordings.append(read_recording(path))
        except RecordingError as error:
            bad[path.name] = str(error)
            tqdm.write(f'BAD {path.name}: {error}', file=sys.stderr)
    return recordings, bad


def _first(bad: dict[str, str]) -> str:
    return ': '.join(next(iter(bad.items())))

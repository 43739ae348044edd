"""Synthetic recordings named and coded as those of the Free Spoken Digit Dataset."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.io import wavfile

SPEAKERS = ('george', 'theo', 'yweweler')


def write_synthetic_recordings(
    folder: str | Path,
    speakers: Sequence[str] = SPEAKERS,
    digits: int = 10,
    recordings: int = 12,
    seed: int = 0,
) -> Path:
    """Write ``{digit}_{speaker}_{index}.wav``, 8 kHz mono of 16 bits, to ``folder`` and return it.

    A digit is a tone of its own pitch, a speaker an overtone, and a recording has its own length,
    loudness and noise.

    Args:
        folder: Made if absent.
        speakers: Their names.
        digits: How many of the ten.
        recordings: Of each digit by each speaker.
        seed: Of everything random.
    """
    folder, rng = Path(folder), np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    for digit in range(digits):
        for number, speaker in enumerate(speakers):
            for index in range(recordings):
                time = np.arange(rng.integers(1200, 8000)) / 8000
                pitch = 200 + 300 * digit
                wave = np.sin(2 * np.pi * pitch * time) + 0.3 * np.sin(2 * np.pi * (number + 2) * 60 * time)
                wave = rng.uniform(0.05, 0.7) * (wave / 1.3 + 0.01 * rng.standard_normal(len(time)))
                samples = (32767 * wave.clip(-1, 1)).astype(np.int16)
                wavfile.write(folder / f'{digit}_{speaker}_{index}.wav', 8000, samples)
    return folder

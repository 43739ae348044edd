"""Ready-made features of MELD's dev utterances to one file, row by row the same utterance."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from mmcggm.datasets.readers.safe_pickle import load_pickle
from mmcggm.utils.atomic import remove_stale, replacing

FILE = 'meld.npz'
UTTERANCES = 'dev_sent_emo.csv'
TEXT, AUDIO, VISION = 'text_base_val.pkl', 'audio_wav2vec2_val.pkl', 'vision_dev_35_aus.pickle'
SKIPPED = (
    110,
    7,
)  # dialogue and utterance that the features of text and audio leave out: its video is broken
EMOTIONS = ('neutral', 'joy', 'anger', 'surprise', 'sadness', 'fear', 'disgust')
SOURCES = {
    UTTERANCES: 'declare-lab/MELD',
    TEXT: 'iosonopersia/Multimodal-Emotion-Recognition, embeddings',
    AUDIO: 'iosonopersia/Multimodal-Emotion-Recognition, embeddings',
    VISION: 'hguuuu/MML, vis_features_openface',
}


def read_utterances(path: Path) -> dict[tuple[int, int], int]:
    """Return the emotion of each utterance, by its dialogue and its place there, in the file's order.

    Raises:
        ValueError: If the file lacks a column, names another emotion, or an utterance twice.
    """
    with open(path, newline='', encoding='utf-8-sig') as file:
        rows = csv.DictReader(file)
        missing = {'Dialogue_ID', 'Utterance_ID', 'Emotion'} - set(rows.fieldnames or ())
        if missing:
            raise ValueError(
                f'{path} lacks the columns {sorted(missing)}: get the file of {SOURCES[UTTERANCES]}.'
            )
        emotions: dict[tuple[int, int], int] = {}
        for line, row in enumerate(rows, start=2):
            numbers = [row['Dialogue_ID'], row['Utterance_ID']]
            if not all(number is not None and number.isdecimal() for number in numbers):
                raise ValueError(
                    f'{path}, row {line}: {numbers} are no numbers of a dialogue and an utterance.'
                )
            name = (int(numbers[0]), int(numbers[1]))
            if name in emotions:
                raise ValueError(
                    f'{path}, row {line}: utterance {name[1]} of dialogue {name[0]} is there twice.'
                )
            if row['Emotion'] not in EMOTIONS:
                raise ValueError(f"{path}, row {line}: '{row['Emotion']}' is none of {list(EMOTIONS)}.")
            emotions[name] = EMOTIONS.index(row['Emotion'])
    return emotions


def convert_folder(source: str | Path, out: str | Path) -> dict[str, int]:
    """Write ``out/meld.npz`` with the utterances that all three modalities have.

    =============  ===============================================================
    ``text``       float32 (N, 768): RoBERTa's
    ``audio``      float32 (N, 768): wav2vec 2.0's
    ``vision``     float32 (N, 35): OpenFace's, of action units
    ``label``      int64 (N,): the emotion, a place in ``EMOTIONS``
    ``dialogue``   int64 (N,): the dialogue
    ``utterance``  int64 (N,): the place in it
    =============  ===============================================================

    Text and audio are in the order of ``dev_sent_emo.csv``, without the utterance whose video is broken;
    vision says the utterance by its name.

    Args:
        source: Folder of the files of ``SOURCES``.
        out: Folder of the file; made if absent.

    Returns:
        How many utterances and dialogues there are, and how many utterances lack vision.

    Raises:
        FileNotFoundError: If a file is missing.
        UnsafePickleError: If a pickle would run code.
        ValueError: If a file has other content.
    """
    source, out = Path(source), Path(out)
    missing = [name for name in SOURCES if not (source / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"'{source}' lacks "
            + '; '.join(f'{name} (download it from {SOURCES[name]})' for name in missing)
            + '.'
        )
    emotions = read_utterances(source / UTTERANCES)
    emotions.pop(SKIPPED, None)
    names = list(emotions)
    text, audio = (_read_rows(source / name, len(names)) for name in (TEXT, AUDIO))
    vision = _read_vision(source / VISION)
    rows = np.array([row for row, name in enumerate(names) if name in vision], np.int64)
    if not len(rows):
        raise ValueError(f'{source / VISION} has none of the utterances of {source / UTTERANCES}.')
    dialogue, utterance = np.array(names, np.int64)[rows].T
    out.mkdir(parents=True, exist_ok=True)
    remove_stale(out)
    with replacing(out / FILE) as temporary:
        np.savez(
            temporary,
            text=text[rows],
            audio=audio[rows],
            vision=np.stack([vision[names[row]] for row in rows]),
            label=np.array(list(emotions.values()), np.int64)[rows],
            dialogue=dialogue,
            utterance=utterance,
        )
    return dict(
        utterances=len(rows), dialogues=len(np.unique(dialogue)), without_vision=len(names) - len(rows)
    )


def _read_rows(path: Path, count: int) -> np.ndarray:
    """Return features float32 (count, C)."""
    values = load_pickle(path)
    if (
        not isinstance(values, np.ndarray)
        or values.dtype.kind != 'f'
        or values.ndim != 2
        or len(values) != count
    ):
        raise ValueError(
            f'{path} must hold a row of features for each of {count} utterances, those of {UTTERANCES} '
            f'without utterance {SKIPPED[1]} of dialogue {SKIPPED[0]}, but holds '
            f'{getattr(values, "dtype", type(values).__name__)} of shape {np.shape(values)}.'
        )
    return _finite(values, path)


def _read_vision(path: Path) -> dict[tuple[int, int], np.ndarray]:
    """Return features float32 (C,) by dialogue and utterance."""
    content = load_pickle(path)
    if not isinstance(content, dict) or not content:
        raise ValueError(
            f"{path} must hold features by name, such as '47_4', but holds {type(content).__name__}."
        )
    names, values = list(content), list(content.values())
    if len({np.shape(value) for value in values}) > 1 or np.ndim(values[0]) != 1:
        raise ValueError(
            f'{path} must hold vectors of one length, but has {sorted({np.shape(v) for v in values})}.'
        )
    found = {}
    for name, row in zip(names, _finite(np.stack(values), path), strict=True):
        parts = str(name).split('_')
        if len(parts) != 2 or not all(part.isdecimal() for part in parts):
            raise ValueError(f"{path}: '{name}' doesn't name dialogue and utterance, as '47_4' does.")
        found[int(parts[0]), int(parts[1])] = row
    return found


def _finite(values: np.ndarray, path: Path) -> np.ndarray:
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        raise ValueError(
            f'{path} holds values that are no finite numbers, first in row {bad[0]}: get it anew.'
        )
    return values.astype(np.float32)

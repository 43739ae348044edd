"""The formats that are read: how a good file is made, how it is read, and whether it has checksums.

A format is one entry of ``FORMATS``.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

# What a format needs is imported where it is used: each is read in a process that needs no other.


RESIZE = dict(type='Resize', scale=(32, 32), backend='pillow')


@dataclass(frozen=True)
class Format:
    """A format.

    Attributes:
        make: Writes a good file, and what belongs to it, into an empty folder, and returns the file.
        read: Returns all that the file holds, as arrays, tensors, numbers and text in lists and dicts; two
            files are equal if that is. Given the file where ``make`` wrote it.
        checksums: Whether no change of what it holds may pass unnoticed.
        needs: A module without which there is no reader.
    """

    make: Callable[[Path], Path]
    read: Callable[[Path], Any]
    checksums: bool
    needs: str = 'mmcggm'

    @property
    def exists(self) -> bool:
        """Whether there is a reader."""
        try:
            return find_spec(self.needs) is not None
        except ModuleNotFoundError:
            return False


def make_sentiment_pickle(folder: Path) -> Path:
    from tests.formats.mosi import mmsa_data, write_pickle

    return write_pickle(folder / 'data.pkl', mmsa_data(aligned=False))


def make_sentiment_store(folder: Path) -> Path:
    from mmcggm.datasets.sentiment.converter import convert_pickle

    convert_pickle(make_sentiment_pickle(folder), folder / 'data.h5')
    return folder / 'data.h5'


def read_sentiment(path: Path) -> list:
    from mmcggm.datasets import SentimentDataset

    splits = ('train', 'valid', 'test')
    return [list(SentimentDataset(str(path.parent), path.name, split)) for split in splits]


def make_iemocap(folder: Path, file: str = 'A/comparE.h5') -> Path:
    from tests.formats.iemocap import write_synthetic_iemocap

    return write_synthetic_iemocap(folder, channels=dict(text=4, audio=5, vision=3)) / file


def make_iemocap_names(folder: Path) -> Path:
    return make_iemocap(folder, 'target/1/trn_int2name.npy')


def read_iemocap(path: Path) -> list:
    from mmcggm.datasets import IEMOCAPDataset

    root = next(parent for parent in path.parents if (parent / 'target').is_dir())
    features = dict(audio='comparE')
    return list(IEMOCAPDataset(str(root), features=features, max_lengths=dict(audio=20), audio_norm='none'))


def make_recording(folder: Path) -> Path:
    from tests.formats.av_digits import write_synthetic_recordings

    return write_synthetic_recordings(folder, ['theo'], digits=1, recordings=1) / '0_theo_0.wav'


def read_recording(path: Path) -> Any:
    from mmcggm.datasets.av_digits import converter

    try:
        return converter.read_recording(path).spectrogram
    except converter.RecordingError as error:
        raise ValueError(f'BAD {path.name}: {error}') from error  # as the converter does


def make_av_digits(folder: Path) -> Path:
    from mmcggm.datasets.av_digits.converter import FILE, convert_folder
    from tests.formats.av_digits import write_synthetic_recordings

    convert_folder(write_synthetic_recordings(folder / 'wav', ['theo'], digits=3), folder)
    return folder / FILE


def read_av_digits(path: Path) -> list:
    from mmcggm.datasets import AVDigitsDataset

    return [list(AVDigitsDataset(str(path.parent), split)) for split in ('val', 'test')]


def make_mfeat(folder: Path) -> Path:
    from mmcggm.datasets.mfeat.converter import FILE, convert_folder
    from tests.formats.mfeat import write_synthetic_mfeat

    convert_folder(write_synthetic_mfeat(folder / 'source'), folder)
    return folder / FILE


def read_mfeat(path: Path) -> list:
    from mmcggm.datasets import MfeatDataset

    dataset = MfeatDataset(str(path.parent), 'test')
    return [dataset[index] for index in range(0, 1000, 50)] + [dataset._features]


def make_food101(folder: Path) -> Path:
    from tests.formats.food101 import write_bert, write_food101

    write_bert(folder / 'bert')
    write_food101(folder, train=2)
    return folder / 'train.json'


def make_image(folder: Path, extension: str = 'jpg') -> Path:
    from PIL import Image

    json_file = make_food101(folder)
    items = json.loads(json_file.read_text())
    path = folder / f'image.{extension}'
    Image.open(folder / items[0]['img_path']).save(path)
    items[0]['img_path'] = path.name
    json_file.write_text(json.dumps(items))
    return path


def make_png(folder: Path) -> Path:
    return make_image(folder, 'png')


def read_food101(path: Path) -> list:
    from mmcggm.datasets import Food101Dataset

    settings = dict(data_root=str(path.parent), tokenizer=str(path.parent / 'bert'), serialize_data=False)
    return list(Food101Dataset(pipeline=[RESIZE], **settings))


def make_features(folder: Path) -> Path:
    from mmcggm.datasets.feature_cache.writer import write_features
    from tests.formats.food101 import write_vit

    make_food101(folder)
    write_vit(folder / 'vit')
    write_features(_feature_cache(folder), shard_size=2)
    return folder / 'cache/train/view0/0000000.safetensors'


def make_feature_meta(folder: Path) -> Path:
    make_features(folder)
    return folder / 'cache/train/meta.json'


def read_features(path: Path) -> list:
    from mmcggm.datasets import CachedFeatureDataset

    folder = next(parent for parent in path.parents if parent.name == 'cache').parent
    settings = vars(_feature_cache(folder))
    del settings['folder']
    return list(CachedFeatureDataset(str(folder / 'cache'), 'train', serialize_data=False, **settings))


def _feature_cache(folder: Path) -> Any:
    from mmcggm.datasets.feature_cache.dataset import FeatureCache

    source = dict(data_root=str(folder), tokenizer=str(folder / 'bert'), pipeline=[RESIZE])
    backbones = dict(image=dict(type='ViTImageEncoder', path=str(folder / 'vit')))
    preprocessor = dict(type='MultimodalDataPreprocessor', std=dict(image=255.0))
    return FeatureCache(
        folder / 'cache/train', dict(type='Food101Dataset', **source), backbones, preprocessor
    )


def make_nifti(folder: Path, extension: str = '.nii') -> Path:
    import nibabel as nib

    rng = np.random.default_rng(0)
    path = folder / f'volume{extension}'
    nib.save(
        nib.Nifti1Image(rng.integers(0, 900, (20, 24, 10)).astype(np.int16), np.diag([1, 1, 2, 1])), path
    )
    return path


def make_nifti_gz(folder: Path) -> Path:
    return make_nifti(folder, '.nii.gz')


def read_nifti(path: Path) -> list:
    from mmcggm.datasets.brats.nifti import read_nifti

    volume = read_nifti(path)
    return [value for value in vars(volume).values() if isinstance(value, (np.ndarray, tuple))]


def make_brats_store(folder: Path) -> Path:
    from mmcggm.datasets.brats.converter import convert_folder
    from tests.synthetic import write_synthetic_case

    write_synthetic_case(folder / 'source', 'BraTS-GLI-00003-000', '2023', seed=3)
    convert_folder(folder / 'source', folder / 'store')
    return next((folder / 'store').rglob('*.h5'))


def read_brats_store(path: Path) -> list:
    from mmcggm.datasets.brats.volume_store import StoredCase

    case = StoredCase(path)
    return [
        case.read_volume(case.modalities),
        case.spacing,
        case.tumour_slices,
        bytes(case.header.binaryblock),
    ]


def make_checkpoint(folder: Path) -> Path:
    import torch

    weights = torch.nn.Sequential(torch.nn.Linear(30, 20), torch.nn.Linear(20, 5)).state_dict()
    torch.save(dict(state_dict=weights, meta=dict(epoch=1, seed=3)), folder / 'epoch_1.pth')
    return folder / 'epoch_1.pth'


def read_checkpoint(path: Path) -> Any:
    from mmcggm.utils.checkpoints import read_checkpoint

    return read_checkpoint(str(path))


FORMATS: dict[str, Format] = {
    'sentiment pickle': Format(make_sentiment_pickle, read_sentiment, checksums=False),
    'sentiment store': Format(make_sentiment_store, read_sentiment, checksums=True),
    'iemocap h5': Format(make_iemocap, read_iemocap, checksums=False),
    'iemocap npy': Format(make_iemocap_names, read_iemocap, checksums=False),
    'wav': Format(make_recording, read_recording, checksums=False),
    'av digits npz': Format(make_av_digits, read_av_digits, checksums=True),
    'mfeat npz': Format(make_mfeat, read_mfeat, checksums=True),
    'food101 json': Format(make_food101, read_food101, checksums=False),
    'jpg': Format(make_image, read_food101, checksums=False),
    'png': Format(make_png, read_food101, checksums=True),
    'feature shard': Format(make_features, read_features, checksums=True),
    'feature meta': Format(make_feature_meta, read_features, checksums=True),
    'nii': Format(make_nifti, read_nifti, False, 'mmcggm.datasets.brats.nifti'),
    'nii.gz': Format(make_nifti_gz, read_nifti, True, 'mmcggm.datasets.brats.nifti'),
    'brats store': Format(make_brats_store, read_brats_store, True, 'mmcggm.datasets.brats.nifti'),
    'checkpoint': Format(make_checkpoint, read_checkpoint, True, 'mmcggm.utils.checkpoints'),
}

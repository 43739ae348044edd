"""Phantoms as files: cases in the layout of BraTS, with a description that says what they are."""

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import nibabel as nib
from tqdm import tqdm

from mmcggm.utils.atomic import replacing
from mmcggm.version import __version__

from .cases import NAMINGS
from .label_conventions import DEFAULTS
from .phantom import (
    AFFINE,
    SEQUENCES,
    TISSUES,
    load_anatomy,
    make_phantom,
)

ICBM_LICENCE = (
    'Copyright (C) 1993-2004 Louis Collins, McConnell Brain Imaging Centre, Montreal Neurological '
    'Institute, McGill University. Permission to use, copy, modify, and distribute this software and its '
    'documentation for any purpose and without fee is hereby granted, provided that the above copyright '
    'notice appear in all copies. The authors and McGill University make no representations about the '
    'suitability of this software for any purpose. It is provided "as is" without express or implied '
    'warranty. The authors are not responsible for any data loss, equipment damage, property loss, or '
    'injury to subjects or patients resulting from the use or misuse of this software package.'
)


def write_phantom(dst: Path, seed: int, index: int, naming: str) -> bool:
    """Write case ``index`` to a folder in ``dst``, whole or not at all, unless it is there.

    Returns:
        Whether it was written.

    Raises:
        FileExistsError: If the case's folder is there but lacks files.
    """
    case = f'BraTSPhantom_{index:05d}'
    files = {name: NAMINGS[naming].file_name(case, name) for name in NAMINGS[naming].sequences.values()}
    folder = dst / case
    if folder.exists():
        missing = [file for file in files.values() if not (folder / file).exists()]
        if missing:
            raise FileExistsError(f'{folder} lacks {", ".join(missing)}: remove the folder and run again.')
        return False

    phantom = make_phantom(seed, index)
    seg = DEFAULTS[naming].to_disk(phantom.seg)
    partial = dst / f'.{case}'  # always the same name, so that the next run clears what a crash left
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    for name, volume in {**phantom.images, 'seg': seg}.items():
        image = nib.Nifti1Image(volume, AFFINE)
        image.set_qform(AFFINE, code=1)
        image.set_sform(AFFINE, code=1)
        image.header.set_xyzt_units('mm')
        image.header['descrip'] = f'mmcggm phantom, synthetic; seed {seed}, case {index}'
        nib.save(image, partial / files[name])
    os.replace(partial, folder)
    return True


def describe(seed: int, naming: str) -> dict:
    """What the folder's ``phantom.json`` says: that it holds phantoms, how they were made, licences."""
    return {
        'what': 'Synthetic phantoms of brain tumour MRI. No patient data; of no clinical meaning.',
        'generator': f'mmcggm {__version__}, mmcggm.datasets.brats.phantom',
        'seed': seed,
        'naming': naming,
        'labels': dict(zip(DEFAULTS[naming].meanings, DEFAULTS[naming].on_disk[1:], strict=True)),
        'tissues': {name: tissue._asdict() for name, tissue in TISSUES.items()},
        'sequences': {name: sequence._asdict() for name, sequence in SEQUENCES.items()},
        'anatomy': {
            'source': 'ICBM 152 nonlinear atlas (MNI152) of 2009, version a, packaged by nilearn, deformed',
            'licence': ICBM_LICENCE,
            'packaging': 'nilearn, BSD-3-Clause',
            'reference': 'Fonov et al., NeuroImage 54 (2011) 313',
        },
    }


def write_description(path: Path, description: dict) -> None:
    """Write ``description`` as JSON unless ``path`` holds it already.

    Raises:
        ValueError: If ``path`` describes phantoms made otherwise, or cannot be read.
    """
    text = json.dumps(description, indent=2)
    if not path.exists():
        with replacing(path) as partial:
            partial.write_text(text, encoding='utf-8')
        return
    try:
        found = dict(json.loads(path.read_text(encoding='utf-8')))
    except (ValueError, TypeError) as error:
        raise ValueError(f'{path} does not describe phantoms ({error}): choose another folder.') from error
    differing = [key for key, value in json.loads(text).items() if found.get(key) != value]
    if differing:
        raise ValueError(
            f'{path} describes phantoms with another {", ".join(differing)}: choose another folder.'
        )


def write_phantoms(
    dst: str | Path, cases: int, seed: int = 0, workers: int = 2, naming: str = '2021'
) -> tuple[int, int]:
    """Write phantoms 0 to ``cases`` - 1, each to a folder of its own with files named as BraTS does.

    Those that are already there are kept.

    Args:
        dst: Folder for the cases; made if need be.
        cases: How many.
        seed: Seed; with a case's index it fixes the case.
        workers: Threads. What is slow releases Python's lock, and threads share the atlas.
        naming: Key of :data:`mmcggm.datasets.brats.cases.NAMINGS`: file names and label of the
            enhancing tumour.

    Returns:
        The numbers of cases written and kept.

    Raises:
        ImportError: If nilearn is not installed.
        ValueError: If an argument is out of range, or ``dst`` holds phantoms made with other settings.
        FileExistsError: If a case is there in part.
    """
    if cases < 1 or workers < 1 or seed < 0:
        raise ValueError(
            f'`cases` and `workers` must be at least 1 and `seed` at least 0: got {cases}, {workers}, {seed}.'
        )
    if naming not in NAMINGS:
        raise ValueError(f"`naming` is '{naming}'; it must be one of {list(NAMINGS)}.")
    load_anatomy()  # once, before the threads start and anything is written
    dst = Path(dst)
    dst.mkdir(parents=True, exist_ok=True)
    write_description(dst / 'phantom.json', describe(seed, naming))
    written = 0
    with ThreadPoolExecutor(workers) as pool:
        jobs = [pool.submit(write_phantom, dst, seed, index, naming) for index in range(cases)]
        try:
            for job in tqdm(as_completed(jobs), total=cases, desc='Phantoms', unit='case'):
                written += job.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)  # else the pool would first make all other cases
            raise
    return written, cases - written

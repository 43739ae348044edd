"""Finding what a viewer shows: cases of a store, or of a folder as published, with their predictions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from mmcggm.datasets.brats.background import normalise
from mmcggm.datasets.brats.case_volumes import read_case
from mmcggm.datasets.brats.case_volumes import read_labels as labels_on_disk
from mmcggm.datasets.brats.cases import MODALITIES, SourceCase, find_cases
from mmcggm.datasets.brats.label_conventions import (
    DEFAULTS,
    LabelConvention,
    choose_convention,
    get_convention,
    present_labels,
)
from mmcggm.datasets.brats.volume_store import StoredCase, case_path
from mmcggm.evaluation.brats.label_files import read_labels

from .case_viewer import ViewedCase

ENDING = '.nii.gz'


def find_viewed_cases(
    source: str | Path,
    pred: str | Path | None = None,
    cases: Sequence[str] | None = None,
    labels: str | None = None,
) -> Iterator[ViewedCase]:
    """Yield cases one by one.

    Args:
        source: A store, or a folder with one case or several as the challenges publish them.
        pred: Folder with ``{case}.nii.gz``, or one such file.
        cases: Their names. Default: those with a prediction, or all without ``pred``.
        labels: Name of the convention of all labels. Default: the store's, or what the files tell.

    Raises:
        FileNotFoundError: If a case or its prediction is not there.
        ValueError: If a file cannot be read, or it is open what labels mean.
    """
    source, pred_dir = Path(source), None if pred is None else Path(pred)
    if pred_dir is not None and pred_dir.is_file():
        cases = cases or [pred_dir.name.removesuffix(ENDING)]
        pred_dir = pred_dir.parent
    in_store = (source / 'cases').is_dir() and any((source / 'cases').glob('*.h5'))
    found = {path.stem: path for path in sorted((source / 'cases').glob('*.h5'))} if in_store else {}
    published = {} if in_store else {case.case: case for case in find_cases(source).cases}
    there = [*found, *published]
    if cases is None:
        cases = [name for name in there if pred_dir is None or (pred_dir / f'{name}{ENDING}').exists()]
    if missing := sorted(set(cases) - set(there)):
        raise FileNotFoundError(
            f'{source} has no case {missing[0]}; it has {", ".join(there[:5]) or "none"}.'
        )
    if not cases:
        raise FileNotFoundError(
            f'{pred_dir} holds no {{case}}{ENDING} of the cases in {source}, such as {there[0]}{ENDING}.'
            if there
            else f'{source} holds no case whose four sequences are there.'
        )
    for name in cases:
        prediction = None if pred_dir is None else pred_dir / f'{name}{ENDING}'
        if in_store:
            yield _from_store(StoredCase(case_path(source, name)), prediction, labels)
        else:
            yield _from_files(published[name], prediction, labels)


def _from_store(stored: StoredCase, prediction: Path | None, labels: str | None) -> ViewedCase:
    image, truth = stored.read_volume(stored.modalities)
    convention = get_convention(labels) if labels else stored.convention
    return ViewedCase(
        stored.case,
        image,
        stored.modalities,
        stored.header.binaryblock,
        stored.spacing,
        stored.convention.scheme,
        truth,
        None if prediction is None else read_labels(prediction, convention).array,
    )


def _from_files(case: SourceCase, prediction: Path | None, labels: str | None) -> ViewedCase:
    convention = get_convention(labels) if labels else _convention_of(case)
    volumes = read_case(case, convention)
    return ViewedCase(
        case.case,
        normalise(volumes.image, MODALITIES)[0],  # which sets what is around the brain to 0
        MODALITIES,
        volumes.header,
        volumes.spacing,
        convention.scheme,
        volumes.seg,
        None if prediction is None else read_labels(prediction, convention).array,
    )


def _convention_of(case: SourceCase) -> LabelConvention:
    if 'seg' not in case.files:
        return DEFAULTS[case.naming]
    return choose_convention(case.naming, {case.case: present_labels(labels_on_disk(case.files['seg']))})

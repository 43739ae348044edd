"""Which cases train, validate and test: ``splits.json`` in the store, for a person to read and edit.

::

    {
      "seed": 0,
      "train": [
        "BraTS-GLI-00000-000",
        ...
      ],
      "val": [...],
      "test": [...],
      "unlabelled": [...],
      "patients": "names",
      "same_scans": []
    }

Cases without a segmentation can neither train nor be scored: they stand under ``unlabelled``. How patients
are told stands below, see :class:`mmcggm.datasets.brats.patients.Patients`.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from mmcggm.utils.atomic import replacing

from .cases import check_case_id
from .patients import Patients

SPLITS = ('train', 'val', 'test')
UNLABELLED = 'unlabelled'
KEYS = (*SPLITS, UNLABELLED)
PATIENT_KEYS = ('patients', 'same_scans')


def check_fractions(fractions: Sequence[float]) -> None:
    """Raise ValueError unless ``fractions`` are shares of train, val and test that sum to 1."""
    if len(fractions) != len(SPLITS) or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ValueError(
            f'--split needs three shares, for train, val and test, that sum to 1: got {list(fractions)}.'
        )


def assign(
    splits: Mapping[str, Sequence[str]],
    cases: Sequence[str],
    fractions: Sequence[float],
    seed: int,
    patients: Patients = Patients(),  # noqa: B008
) -> dict[str, list[str]]:
    """Add cases to splits without moving those that are there.

    Patients are taken in an order that depends on the seed alone, with all their new cases. One that
    a split knows already goes there. Any other goes to the first of train, val, test that is empty
    (and should not be); once none is, to the one that lacks most to its fraction of all cases. So
    two patients give one for train and one for val, and three give each split one.

    Args:
        splits: Cases by split.
        cases: All labelled cases, those in ``splits`` included.
        fractions: Shares of train, val and test; they sum to 1.
        seed: Chooses the order.
        patients: How they are told.

    Returns:
        Cases by split, in order of their ids.

    Raises:
        ValueError: If the fractions are not three shares of 1.
    """
    check_fractions(fractions)
    result = {split: list(splits.get(split, ())) for split in SPLITS}
    split_of = {patients.of(case): split for split, members in result.items() for case in members}
    known = {case for members in result.values() for case in members}
    total = len(known.union(cases))

    new = sorted((order(patients.of(case), seed), case) for case in set(cases) - known)
    for (_, patient), group in groupby(new, key=lambda item: item[0]):
        split = split_of.get(patient) or _neediest(result, fractions, total)
        result[split] += [case for _, case in group]
    return {split: sorted(members) for split, members in result.items()}


def order(patient: str, seed: int | str) -> tuple[str, str]:
    """Return what patients are sorted by, so that their order depends on the seed alone."""
    return hashlib.sha256(f'{seed}:{patient}'.encode()).hexdigest(), patient


def _neediest(splits: Mapping[str, Sequence[str]], fractions: Sequence[float], total: int) -> str:
    wanted = {split: share * total for split, share in zip(SPLITS, fractions, strict=True) if share > 0}
    empty = [split for split in wanted if not splits[split]]
    return empty[0] if empty else max(wanted, key=lambda split: wanted[split] - len(splits[split]))


def read_splits(path: str | Path, patients: Patients | None = None) -> dict:
    """Read and check ``splits.json``.

    Args:
        path: The file.
        patients: How patients are told. Default: as the file says.

    Returns:
        ``seed`` (int or None), the case ids under ``train``, ``val``, ``test`` and ``unlabelled``, and
        ``patients``, a :class:`Patients` as the file says.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is not JSON of this form, if a case's id names a path elsewhere, or if a case or
            patient stands in two splits.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_text(encoding='utf-8-sig'))  # some editors begin with a mark
    except FileNotFoundError:
        raise FileNotFoundError(
            f'{path} does not exist; `mmcggm convert brats` writes it once all cases are good.'
        ) from None
    except ValueError as error:
        raise ValueError(f'{path} is not valid JSON: {error}. Correct it by hand.') from error
    if not isinstance(content, dict) or not set(SPLITS) <= set(content) <= {'seed', *KEYS, *PATIENT_KEYS}:
        raise ValueError(
            f"{path} must be an object with the keys 'seed', {', '.join(map(repr, (*KEYS, *PATIENT_KEYS)))}."
        )
    try:
        told = Patients.from_json(content)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from error

    splits = {key: content.get(key, []) for key in KEYS}
    split_of: dict[str, str] = {}
    for split, cases in splits.items():
        if not isinstance(cases, list) or not all(isinstance(case, str) for case in cases):
            raise ValueError(f"{path}: '{split}' must be a list of case ids.")
        for case in cases:
            try:
                check_case_id(case)
            except ValueError as error:
                raise ValueError(f"{path}, '{split}': {error}.") from None
            if case in split_of:
                raise ValueError(
                    f"{path}: case '{case}' stands in '{split_of[case]}' and again in '{split}'; keep one."
                )
            split_of[case] = split
    check_patients(path, splits, patients or told)
    return dict(seed=content.get('seed'), **splits, patients=told)


def check_patients(path: Path, splits: Mapping[str, Sequence[str]], patients: Patients) -> None:
    """Raise ValueError if a patient has cases in two of train, val and test."""
    first: dict[str, tuple[str, str]] = {}
    for split in SPLITS:
        for case in splits.get(split, ()):
            patient = patients.of(case)
            other, other_split = first.setdefault(patient, (case, split))
            if other_split != split:
                same = any({case, other} <= {*group} for group in patients.same_scans)
                raise ValueError(
                    f"{path}: patient '{patient}' has cases in '{other_split}' and in '{split}' ('{other}' "
                    f"and '{case}'{', which are one scan' if same else ''}); keep a patient in one split."
                )


def report_empty(
    splits: Mapping[str, Sequence[str]], fractions: Sequence[float], patients: Patients
) -> str | None:
    """Return a warning that names the splits without cases that should have some, or None."""
    empty = [split for split, share in zip(SPLITS, fractions, strict=True) if share > 0 and not splits[split]]
    if not empty:
        return None
    cases = [case for split in SPLITS for case in splits[split]]
    return (
        f'splits.json leaves {" and ".join(map(repr, empty))} empty (labelled cases: {len(cases)}, patients: '
        f'{len(patients.groups(cases))}; a patient stays in one split). A config that reads an '
        "empty split fails: add cases, edit splits.json, or let its loaders read split='all', as the page "
        "'BraTS: data, protocol, metrics' of the documentation does for a small set."
    )


def update_splits(
    path: str | Path,
    labelled: Sequence[str],
    unlabelled: Sequence[str],
    fractions: Sequence[float],
    seed: int,
    patients: Patients | None = None,
    removed: Collection[str] = (),
) -> list[str]:
    """Write ``splits.json``, or add to it the cases that it lacks; it is untouched if nothing changes.

    An existing file keeps its seed and the place of every case that is not removed.

    Args:
        path: The file.
        labelled: Cases with a segmentation.
        unlabelled: Cases without.
        fractions: Shares of train, val and test.
        seed: For a new file.
        patients: How they are told. Default: as in the file, in a new one by their names.
        removed: Cases to take out.

    Returns:
        The cases that were added.

    Raises:
        ValueError: If the existing file is malformed, the fractions are, or a patient would stand in two
            splits.
    """
    path = Path(path)
    old = read_splits(path, patients) if path.exists() else dict(seed=seed, patients=Patients())
    patients = patients or old['patients']
    kept = {key: [case for case in old.get(key, ()) if case not in removed] for key in KEYS}
    check_patients(path, kept, patients)
    added = sorted({*labelled, *unlabelled} - {case for cases in kept.values() for case in cases})
    if (
        path.exists()
        and not added
        and patients == old['patients']
        and kept == {key: old[key] for key in KEYS}
    ):
        return []
    # A labelled case that stands under `unlabelled` was put there: it stays.
    free = [case for case in labelled if case not in kept[UNLABELLED]]
    seed = seed if old['seed'] is None else old['seed']
    new = assign(kept, free, fractions, seed, patients)
    new[UNLABELLED] = sorted({*kept[UNLABELLED], *(case for case in added if case in set(unlabelled))})
    check_patients(path, new, patients)
    with replacing(path) as temporary:
        temporary.write_text(splits_text(new, seed, patients), encoding='utf-8')
    return added


def splits_text(splits: Mapping[str, Sequence[str]], seed: int, patients: Patients) -> str:
    """Return the content of a ``splits.json``."""
    return json.dumps(dict(seed=seed, **splits, **patients.to_json()), indent=2) + '\n'

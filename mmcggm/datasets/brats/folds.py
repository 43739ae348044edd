"""Folds of a store's labelled cases, of which no two share a patient."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from .patients import Patients, equal_scans
from .splits import SPLITS, UNLABELLED, order, read_splits
from .volume_store import StoredCase, case_path


class FoldableCases(NamedTuple):
    """What a store has to make folds of.

    Attributes:
        cases: The labelled cases that its ``splits.json`` has under train, val and test, in order.
        patients: How they are told; cases that hold one scan are of one patient.
        left_out: The other cases: those under ``unlabelled``, and those that ``splits.json`` doesn't name.
    """

    cases: list[str]
    patients: Patients
    left_out: list[str]


def foldable_cases(store: str | Path) -> FoldableCases:
    """Return the cases of a store that take part in folds.

    Raises:
        FileNotFoundError: If there is no ``splits.json``, or a case that it names is missing.
        ValueError: If a case under train, val or test has no segmentation or no patient, or if
            ``splits.json`` is malformed.
    """
    path = Path(store, 'splits.json')
    splits = read_splits(path)
    split_of = {case: split for split in SPLITS for case in splits[split]}
    scans = {}
    for case, split in sorted(split_of.items()):
        try:
            stored = StoredCase(case_path(store, case))
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"{path} names case '{case}' in '{split}', but the store does not hold it. Convert it, or "
                'take it out of that file.'
            ) from error
        if not stored.has_seg:
            raise ValueError(
                f"{path} names case '{case}' in '{split}', but it has no segmentation, so it can neither "
                f"train nor be scored. Move it to '{UNLABELLED}'."
            )
        scans[case] = stored.scan
    told = splits['patients']
    told.check(scans)
    # A store of an older version, or one whose file was edited, does not list them all.
    same = [group for group in equal_scans(scans) if group not in told.same_scans]
    patients = Patients(told.pattern, told.table, [*told.same_scans, *same])
    held = {file.stem for file in Path(store, 'cases').glob('[!.]*.h5')}
    return FoldableCases(list(scans), patients, sorted(held - split_of.keys()))


def fold_splits(
    cases: Sequence[str], patients: Patients, count: int, seed: int, val_share: float = 0.0
) -> list[dict[str, list[str]]]:
    """Return for each fold the cases that train, validate, and are held out as ``test``.

    Patients with the most cases are dealt first, others in an order that depends on the seed alone, each to
    the fold with the fewest cases. So folds differ by no more cases than one patient has. Those that
    validate a fold's training are drawn, as whole patients, from the others' folds.

    Args:
        cases: All cases.
        patients: How they are told.
        count: Number of folds.
        seed: Of the order, and of who validates.
        val_share: Share of the patients beside a fold that validate, rounded, but at least one patient; 0
            for none.

    Raises:
        ValueError: If there are too few patients, or the share leaves none to train.
    """
    groups = patients.groups(cases)
    if count < 2:
        raise ValueError(f'--folds is {count}; there must be at least 2.')
    if not 0 <= val_share < 1:
        raise ValueError(f'--val-share is {val_share}; it must be at least 0 and less than 1.')
    if len(groups) < count:
        raise ValueError(
            f'--folds is {count}, but the {len(cases)} labelled cases are of {len(groups)} patients, and a '
            'patient stays in one fold. Ask for fewer folds, or add cases.'
        )
    folds = _deal(groups, count, seed)
    return [
        _splits(groups, fold, f'{seed}, validation of fold {n}', val_share) for n, fold in enumerate(folds)
    ]


def _deal(groups: Mapping[str, Sequence[str]], count: int, seed: int) -> list[list[str]]:
    """Return the patients of each fold."""
    folds: list[list[str]] = [[] for _ in range(count)]
    sizes = [0] * count
    for patient in sorted(groups, key=lambda patient: (-len(groups[patient]), order(patient, seed))):
        smallest = sizes.index(min(sizes))
        folds[smallest].append(patient)
        sizes[smallest] += len(groups[patient])
    return folds


def _splits(
    groups: Mapping[str, Sequence[str]], fold: Sequence[str], seed: str, val_share: float
) -> dict[str, list[str]]:
    others = sorted(groups.keys() - set(fold), key=lambda patient: order(patient, seed))
    # Halves are rounded up, whatever the parity.
    number = max(1, math.floor(val_share * len(others) + 0.5)) if val_share else 0
    if number >= len(others):
        raise ValueError(
            f'--val-share {val_share} of the {len(others)} patients beside a fold leaves none to train: '
            'add cases, or ask for more folds or a smaller share.'
        )
    chosen = dict(train=others[number:], val=others[:number], test=fold)
    return {split: sorted(case for p in members for case in groups[p]) for split, members in chosen.items()}

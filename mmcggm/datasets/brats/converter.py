"""From a folder of BraTS cases in NIfTI to the store that training reads."""

import sys
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mmcggm.utils.atomic import remove_stale
from mmcggm.utils.counted import counted
from mmcggm.utils.folders import make_writable

from .background import FULL, normalise
from .case_volumes import OTHER_SIZE, has_usual_size, read_case
from .cases import MODALITIES, SourceCase, find_cases, printable
from .label_conventions import LabelConvention, get_convention
from .nifti import CaseError
from .patients import Patients, equal_scans
from .processes import run_each
from .splits import KEYS, SPLITS, check_fractions, read_splits, report_empty, update_splits
from .survey import decide, missing_labels, see_case
from .volume_store import StoredCase, case_path, reason_of, write_case

SHOWN = 20  # equal scans
KILLED = 'its process was killed, perhaps for want of memory'


@dataclass(frozen=True)
class Outcome:
    """What became of one case.

    Attributes:
        case: Its id.
        status: 'converted', 'present' (already there) or 'bad'.
        reason: Why it is bad.
        missing: The sequences that it lacks, if it is not bad.
        notes: What is worth knowing of a case that is not bad.
    """

    case: str
    status: str
    reason: str = ''
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def convert_case(case: SourceCase, store: Path, convention: LabelConvention) -> Outcome:
    """Convert one case.

    Raises:
        OSError: If the store cannot be written.
    """
    try:
        source = case.fingerprint()
        volumes = read_case(case, convention)
        image, filled = normalise(volumes.image, volumes.modalities)
    except CaseError as error:
        return Outcome(case.case, 'bad', str(error))
    except MemoryError:
        return Outcome(case.case, 'bad', 'it needs more memory than there is')
    write_case(
        case_path(store, case.case),
        image,
        volumes.seg,
        modalities=volumes.modalities,
        spacing=volumes.spacing,
        header=volumes.header,
        labels=convention.name,
        source=source,
    )
    equal = _equal_sequences(volumes.image, volumes.modalities)
    notes = [f'{one} and {other} are the same image' for one, other in equal]
    if filled > FULL:
        notes.append(
            f'nearly the whole box counts as brain (more than {FULL:.0%}): the volumes are cut to the '
            'brain, are not skull-stripped, or their background is no constant'
        )
    if volumes.oblique:
        notes.append(
            "the axes lie oblique: each counts as the patient's axis next to it, nothing is resampled"
        )
    if not has_usual_size(volumes.spacing):
        notes.append(OTHER_SIZE)
    return Outcome(case.case, 'converted', missing=case.missing, notes=tuple(notes))


def _equal_sequences(image: np.ndarray, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield those of M names whose sequences, of ``image`` (M, D, H, W), are one and the same."""
    sums = image.sum(axis=(1, 2, 3))
    for one, other in combinations(range(len(image)), 2):
        if sums[one] == sums[other] and np.array_equal(image[one], image[other]):
            yield names[one], names[other]


def convert_folder(
    source: str | Path,
    store: str | Path,
    *,
    workers: int = 1,
    allow_missing: bool = False,
    skip_bad: bool = False,
    prune: bool = False,
    labels: str | None = None,
    patients: Patients | None = None,
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 0,
) -> list[Outcome]:
    """Convert all cases below ``source``, then write or extend the store's ``splits.json``.

    A run that was killed is continued by the same call. One run at a time may write to a store.
    ``splits.json`` is left as it is while cases are bad and not skipped, so that the splits do not
    depend on the order in which cases are repaired. Progress, what is decided for the whole set, and bad
    cases are shown on stderr.

    Args:
        source: Folder of cases, see :mod:`mmcggm.datasets.brats.cases`.
        store: Made if absent. Gets ``cases/{case}.h5`` and ``splits.json``.
        workers: Number of processes; each needs about 1 GB.
        allow_missing: Whether a case may lack sequences, though not all. The store keeps which it has.
        skip_bad: Whether bad cases are left out for good: also of the store and of ``splits.json``, if
            they were good before.
        prune: Whether cases that the source has no more leave the store and ``splits.json``.
        labels: Name of the set's label convention, see :mod:`mmcggm.datasets.brats.label_conventions`.
            Default: the store's, else what all files tell.
        patients: How patients are told. Default: as ``splits.json`` says, else by the cases' names.
        fractions: Shares of train, val and test.
        seed: Of the splits; an existing ``splits.json`` keeps its own.

    Returns:
        An outcome a case, in order of their ids.

    Raises:
        FileNotFoundError: If ``source`` is missing or holds no case.
        ValueError: If an argument or an existing ``splits.json`` is malformed, if the labels' meaning is left
            open or is another than the store's, or if a patient would stand in two splits.
        OSError: If the store cannot be written. What is converted stays.
    """
    store = Path(store)
    check_fractions(fractions)  # before the long work
    if labels is not None:
        get_convention(labels)
    if (store / 'splits.json').exists():
        before = read_splits(store / 'splits.json', patients)
        patients = patients or before['patients']
    patients = patients or Patients()
    found = find_cases(source, allow_missing)
    # Before the long work; a store is made only for a set that is understood.
    make_writable(store if store.exists() else next(p for p in store.parents if p.exists()), '--out')
    patients.check([case.case for case in found.cases])
    for note in [*found.notes, *found.maybe_labels]:
        _say(note)
    outcomes = [_said(Outcome(case, 'bad', reason)) for case, reason in found.bad.items()]

    seen = {}
    for case, result in run_each(partial(see_case, store=store), found.cases, workers, 'Looking'):
        if result is None or result.reason:
            outcomes.append(_said(Outcome(case.case, 'bad', KILLED if result is None else result.reason)))
        else:
            seen[case.case] = result
    good = [case for case in found.cases if case.case in seen]
    conventions = decide(good, seen, [case.convention for case in read_store(store)[0]], labels)
    for naming, convention in conventions.items():
        _say(f'Labels of the cases named as in {naming}: {convention.describe()}.')
    for sentence in missing_labels(good, seen, conventions):
        _say(f'WARNING {sentence}')

    _make_folders(store)
    outcomes += [
        Outcome(case.case, 'present', missing=case.missing) for case in good if seen[case.case].current
    ]
    outcomes += _convert([case for case in good if not seen[case.case].current], store, conventions, workers)
    _say_notes(outcomes)
    _say_missing(outcomes)
    _finish(store, outcomes, skip_bad, prune, patients, fractions, seed)
    return sorted(outcomes, key=lambda outcome: outcome.case)


def read_store(store: Path) -> tuple[list[StoredCase], list[str]]:
    """Return a store's cases in order of their ids, and the ids of files that are none or damaged."""
    stored, damaged = [], []
    for path in sorted((store / 'cases').glob('[!.]*.h5')):
        try:
            stored.append(StoredCase(path))
        except (OSError, ValueError):
            damaged.append(path.stem)
    return stored, damaged


def _make_folders(store: Path) -> None:
    try:
        (store / 'cases').mkdir(parents=True, exist_ok=True)
        for folder in (store, store / 'cases'):
            remove_stale(folder)
    except OSError as error:
        raise OSError(f'{store} cannot be written: {reason_of(error)}.') from error


def _convert(
    cases: Sequence[SourceCase], store: Path, conventions: Mapping[str, LabelConvention], workers: int
) -> list[Outcome]:
    """Convert cases of both namings; say what is wrong with a case as soon as it is known."""
    outcomes = []
    for naming, convention in conventions.items():
        members = [case for case in cases if case.naming == naming]
        convert = partial(convert_case, store=store, convention=convention)
        for case, outcome in run_each(convert, members, workers, 'Converting'):
            outcomes.append(_said(outcome or Outcome(case.case, 'bad', KILLED)))
    return outcomes


def _finish(
    store: Path,
    outcomes: Sequence[Outcome],
    skip_bad: bool,
    prune: bool,
    patients: Patients,
    fractions: Sequence[float],
    seed: int,
) -> None:
    """Take out what does not belong to the store any more, and bring its splits up to date."""
    stored, damaged = read_store(store)
    held = {*damaged, *(case.case for case in stored)}
    bad = {outcome.case for outcome in outcomes if outcome.status == 'bad'}
    gone = held - {outcome.case for outcome in outcomes}
    if gone and not prune:
        _say(
            f'WARNING The store holds {counted(len(gone), "case")} that the source has not: {_some(gone)}. '
            'Nothing is deleted; if they were withdrawn, --prune takes them out of the store and its splits.'
        )
    if bad and not skip_bad:
        if gone and prune:
            _say('Nothing is taken out while cases are bad and not skipped.')
        if bad & held:
            _say(
                f'WARNING The store still holds what {len(bad & held)} bad cases were before: '
                f'{_some(bad & held)}. --skip-bad takes them out of the store and its splits.'
            )
        return
    removed = (bad & held) | (gone if prune else set())
    for case in removed:
        case_path(store, case).unlink()
    if removed:
        _say(f'Removed from the store and its splits: {_some(removed)}.')
    split_store(
        store, [case for case in stored if case.case not in removed], patients, fractions, seed, removed | bad
    )


def split_store(
    store: Path,
    stored: Sequence[StoredCase],
    patients: Patients,
    fractions: Sequence[float],
    seed: int,
    removed: Collection[str] = (),
) -> None:
    """Write or extend ``splits.json`` for the cases in the store; say which patients were found."""
    same = equal_scans({case.case: case.scan for case in stored})
    if same:
        shown = '; '.join(_some(group) for group in same[:SHOWN])
        more = f'; and {len(same) - SHOWN} more (see same_scans in splits.json)' if len(same) > SHOWN else ''
        _say(f'WARNING {len(same)} scans have several names, which stay in one split: {shown}{more}.')
    names = [case.case for case in stored]
    if not names and not (store / 'splits.json').exists():
        return
    patients.check(names)
    table = patients.table and {case: patients.table[case] for case in names}
    patients = Patients(patients.pattern, table, same)
    update_splits(
        store / 'splits.json',
        labelled=[case.case for case in stored if case.has_seg],
        unlabelled=[case.case for case in stored if not case.has_seg],
        fractions=fractions,
        seed=seed,
        patients=patients,
        removed=removed,
    )
    _say(f'Patients: {patients.describe(names)}')
    splits = read_splits(store / 'splits.json')
    unknown = {case for key in KEYS for case in splits[key]} - {*names, *removed}
    if unknown:
        _say(
            f'WARNING splits.json names {counted(len(unknown), "case")} that the store has not, which a '
            f'training refuses: {_some(map(repr, unknown))}. Correct their names or take them out.'
        )
    without = {case.case for case in stored if not case.has_seg} & {
        case for key in SPLITS for case in splits[key]
    }
    if without:
        _say(
            f'WARNING splits.json names {counted(len(without), "case")} to train or test with but without a '
            f"segmentation any more: {_some(without)}. Move them to 'unlabelled'."
        )
    warning = report_empty(splits, fractions, patients)
    if warning:
        _say(f'WARNING {warning}')


def _say_notes(outcomes: Sequence[Outcome]) -> None:
    """Say each note once, with the cases that it is about."""
    about = defaultdict(list)
    for outcome in outcomes:
        for note in outcome.notes:
            about[note].append(outcome.case)
    for note, cases in about.items():
        _say(f'WARNING In {counted(len(cases), "case")} {note}: {_some(cases)}.')


def _say_missing(outcomes: Sequence[Outcome]) -> None:
    """Say which sequences are lacking, and in which cases."""
    for modality in MODALITIES:
        if lacking := [outcome.case for outcome in outcomes if modality in outcome.missing]:
            _say(f'WARNING {len(lacking)} of {len(outcomes)} cases lack {modality}: {_some(lacking)}.')


def _said(outcome: Outcome) -> Outcome:
    if outcome.status == 'bad':
        _say(f'BAD {outcome.case}: {outcome.reason}')
    return outcome


def _say(message: str) -> None:
    tqdm.write(printable(message), file=sys.stderr)


def _some(cases: Iterable[str]) -> str:
    names = sorted(cases)
    return ', '.join(names[:5]) + (f' and {len(names) - 5} more' if len(names) > 5 else '')

"""From a folder of BraTS cases in NIfTI to the store that training reads."""

import multiprocessing
import os
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mmcggm.utils.atomic import remove_stale

from .cases import MODALITIES, CaseError, SourceCase, find_cases, read_case
from .splits import check_fractions, read_splits, report_empty, update_splits
from .volume_store import StoredCase, case_path, is_current, write_case

SIGNED = 0.1  # of the nonzero voxels; interpolation makes less than 0.01 of them negative


@dataclass(frozen=True)
class Outcome:
    """What became of one case: ``status`` is 'converted', 'present' (already there) or 'bad'."""

    case: str
    status: str
    reason: str = ''


def brain_mask(image: np.ndarray) -> np.ndarray:
    """Find the brain in skull-stripped sequences.

    It is where any sequence is positive: the background is 0 except for small negative values that
    interpolation leaves around the brain, which are no tissue. Where more than a tenth of the nonzero
    voxels are negative, the volumes were normalised before, and the brain is where any is nonzero.

    Args:
        image: Shape (M, D, H, W).

    Returns:
        bool, shape (D, H, W). One mask serves all sequences, so that a voxel is background in all of
        them or in none.

    Raises:
        CaseError: If there is no brain.
    """
    nonzero = image != 0
    signed = (image < 0).sum() > SIGNED * nonzero.sum()
    brain = (nonzero if signed else image > 0).any(axis=0)
    if not brain.any():
        raise CaseError('the brain is empty: no sequence has a positive value')
    return brain


def normalise(image: np.ndarray) -> np.ndarray:
    """Standardise each sequence over the brain, and set everything else to 0.

    Args:
        image: float32, shape (M, D, H, W), intensities in the order of ``MODALITIES``.

    Returns:
        float32, shape (M, D, H, W): mean 0 and standard deviation 1 over the brain.

    Raises:
        CaseError: If there is no brain, or a sequence is constant inside it.
    """
    brain = brain_mask(image)
    result = np.zeros_like(image)
    for modality, source, target in zip(MODALITIES, image, result, strict=True):
        values = source[brain]
        if values.min() == values.max():
            raise CaseError(f'{modality} is constant inside the brain')
        target[brain] = (values - values.mean(dtype=np.float64)) / values.std(dtype=np.float64)
    return result


def convert_case(case: SourceCase, store: Path) -> Outcome:
    """Convert one case, unless the store has it from the same files."""
    path = case_path(store, case.case)
    try:
        source = case.fingerprint()
        if is_current(path, source):
            return Outcome(case.case, 'present')
        volumes = read_case(case)
        image = normalise(volumes.image)
    except CaseError as error:
        return Outcome(case.case, 'bad', str(error))
    write_case(
        path,
        image,
        volumes.seg,
        modalities=MODALITIES,
        spacing=volumes.spacing,
        header=volumes.header,
        et_label=volumes.et_label,
        source=source,
    )
    return Outcome(case.case, 'converted')


def convert_folder(
    source: str | Path,
    store: str | Path,
    *,
    workers: int = 1,
    skip_bad: bool = False,
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 0,
) -> list[Outcome]:
    """Convert all cases below ``source``, then write or extend the store's ``splits.json``.

    A run that was killed is continued by the same call. One run at a time may write to a store.
    ``splits.json`` is left as it is while cases are bad and not skipped, so that the splits do not
    depend on the order in which cases are repaired. Progress and bad cases are shown on stderr.

    Args:
        source: Folder of cases, see :mod:`mmcggm.datasets.brats.cases`.
        store: Made if absent. Gets ``cases/{case}.h5`` and ``splits.json``.
        workers: Number of processes; each needs about 1 GB.
        skip_bad: Whether bad cases are left out for good.
        fractions: Shares of train, val and test.
        seed: Of the splits; an existing ``splits.json`` keeps its own.

    Returns:
        An outcome a case, in order of their ids.

    Raises:
        FileNotFoundError: If ``source`` is missing or holds no case.
        ValueError: If ``fractions`` or an existing ``splits.json`` are malformed.
        RuntimeError: If a worker was killed. What is converted stays.
    """
    store = Path(store)
    check_fractions(fractions)  # before the long work
    if (store / 'splits.json').exists():
        read_splits(store / 'splits.json')
    cases, bad, unexplained = find_cases(source)
    if unexplained:
        _say(f'Left out {len(unexplained)} NIfTI files that neither naming explains, e.g. {unexplained[0]}')
    (store / 'cases').mkdir(parents=True, exist_ok=True)
    for folder in (store, store / 'cases'):
        remove_stale(folder)

    outcomes = [Outcome(case, 'bad', reason) for case, reason in bad.items()]
    for outcome in outcomes:
        _say(f'BAD {outcome.case}: {outcome.reason}')
    for outcome in _run(cases, store, workers):
        outcomes.append(outcome)
        if outcome.status == 'bad':
            _say(f'BAD {outcome.case}: {outcome.reason}')
    if skip_bad or all(outcome.status != 'bad' for outcome in outcomes):
        split_store(store, fractions, seed)
    return sorted(outcomes, key=lambda outcome: outcome.case)


def split_store(store: Path, fractions: Sequence[float], seed: int) -> None:
    """Write or extend ``splits.json`` for all cases in the store; warn if it leaves a split empty."""
    stored = [StoredCase(path) for path in sorted((store / 'cases').glob('[!.]*.h5'))]
    update_splits(
        store / 'splits.json',
        labelled=[case.case for case in stored if case.has_seg],
        unlabelled=[case.case for case in stored if not case.has_seg],
        fractions=fractions,
        seed=seed,
    )
    warning = report_empty(read_splits(store / 'splits.json'), fractions)
    if warning:
        _say(f'WARNING {warning}')


def _run(cases: Sequence[SourceCase], store: Path, workers: int) -> Iterator[Outcome]:
    # A log file would not want ten lines a second.
    interval = 0.1 if sys.stderr.isatty() else 10
    with ProcessPoolExecutor(workers, initializer=_end_with_parent) as pool:
        futures = [pool.submit(convert_case, case, store) for case in cases]
        progress = tqdm(
            as_completed(futures), total=len(cases), desc='Converting', unit='case', mininterval=interval
        )
        try:
            for future in progress:
                yield future.result()
        except BrokenProcessPool as error:
            raise RuntimeError(
                'A worker was killed, perhaps for want of memory. What is converted stays: '
                'run the same command again with fewer --workers.'
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """In a worker: end when the parent does, however it does; the pool itself would wait for ever."""

    def watch() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _say(message: str) -> None:
    tqdm.write(message, file=sys.stderr)

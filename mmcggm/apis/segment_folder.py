"""From folders of cases to a folder of segmentations: what ``tools/infer.py`` does with a segmentor."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from mmcggm.datasets.brats.cases import Found, printable
from mmcggm.datasets.brats.nifti import CaseError
from mmcggm.datasets.brats.survey import Seen, see_labels
from mmcggm.evaluation.brats.tumour_count import TumourCount
from mmcggm.utils import import_optional
from mmcggm.utils.atomic import remove_stale
from mmcggm.utils.counted import counted
from mmcggm.utils.csv_files import write_csv

from .run_record import RunRecord
from .segmentation import Job, Segmentation, SegmentationInferencer

WRITING = 2  # segmentations that wait to be written, at most, so that memory is bounded


@dataclass
class Spent:
    """Where the time went, in seconds."""

    model: float = 0.0
    total: float = 0.0

    @contextmanager
    def in_model(self) -> Iterator[None]:
        """Count the time inside the context as the model's, to the end of what it asks of a GPU."""
        begin = time.perf_counter()
        yield
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.model += time.perf_counter() - begin

    def describe(self) -> str:
        share = self.model / self.total if self.total else 0.0
        return f'The model took {share:.1%} of {self.total:.1f} s ({self.model:.1f} s).'


@dataclass
class Summary:
    """What became of the cases.

    Attributes:
        segmented: Ids of the cases that were segmented.
        present: Ids of those whose results were there.
        bad: What is wrong with each other case.
        spent: Where the time went.
        tumours: In how many of the cases that are segmented or there a tumour is predicted.
    """

    segmented: list[str] = field(default_factory=list)
    present: list[str] = field(default_factory=list)
    bad: dict[str, str] = field(default_factory=dict)
    spent: Spent = field(default_factory=Spent)
    tumours: TumourCount = field(default_factory=TumourCount)

    @property
    def status(self) -> int:
        """Exit status: 0 if all is well, 1 if a case is bad, 2 if none is good."""
        if not self.segmented and not self.present:
            return 2
        return 1 if self.bad else 0


def segment_folder(
    inferencer: SegmentationInferencer,
    inputs: Sequence[str | Path],
    out: Path,
    settings: dict,
    *,
    probabilities: bool = False,
    overlays: bool = True,
    overwrite: bool = False,
    workers: int = 1,
) -> Summary:
    """Segment all cases below ``inputs`` and write what is found to ``out``.

    A run that was killed is continued by the same call. What is wrong with a case is said on stderr, and the
    others are segmented.

    Args:
        inferencer: The model.
        inputs: Folders of cases, or of one case.
        out: A folder that can be written to. Gets ``{case}.nii.gz``, ``probabilities/{case}.nii.gz``,
            ``overlays/{case}.png``, ``volumes.csv`` and ``inference.json``.
        settings: What the results depend on, for ``inference.json``.
        probabilities: Whether to write probabilities.
        overlays: Whether to draw pictures.
        overwrite: Whether to replace results that are there.
        workers: How many cases are read ahead, in threads.

    Raises:
        FileNotFoundError: If a folder is missing or holds no case.
        ValueError: If what labels mean is left open, or ``out`` holds results of other settings.
        OSError: If something can't be written. What was written stays.
    """
    summary = Summary()
    found, _ = inferencer.find(inputs)
    for note in found.notes:
        _say(note)
    _note_bad(summary, found.bad)
    seen = _look(found, summary)
    good = [case for case in found.cases if case.case in seen]
    jobs = inferencer.jobs(good, seen)
    for folder in (out, out / 'probabilities', out / 'overlays'):
        remove_stale(folder)
    record = RunRecord(out, settings, overwrite, [f'{job.case}.nii.gz' for job in jobs])
    record.begin()
    todo = {}
    for job in jobs:
        try:
            fingerprint = job.source.fingerprint()
        except CaseError as error:
            _note_bad(summary, {job.case: str(error)})
            continue
        wanted = _files(out, job.case, probabilities, overlays)
        if record.is_done(job.case, fingerprint) and all(path.exists() for path in wanted):
            summary.present.append(job.case)
            summary.tumours.add(np.array([*record.done[job.case]['volumes'].values()]))
        else:
            todo[job] = fingerprint
    if overlays and any('seg' in job.source.files for job in todo):
        import_optional('panoptica.metrics', extra='brats')  # takes seconds, which are not the first case's
    _segment(inferencer, todo, out, record, summary, probabilities, overlays, workers)
    _write_volumes(out, record)
    for case in summary.bad:
        if (out / f'{case}.nii.gz').exists():
            _say(f'WARNING {out / case}.nii.gz is of what the bad case {case} was before.')
    if warning := summary.tumours.warning():
        _say(f'WARNING {warning}')
    return summary


def _look(found: Found, summary: Summary) -> dict[str, Seen]:
    """Look at the segmentations that cases come with, by which their labels' meaning is told."""
    seen = {}
    for case in found.cases:
        look = see_labels(case)
        if look.reason:
            _note_bad(summary, {case.case: look.reason})
        else:
            seen[case.case] = look
    return seen


def _segment(
    inferencer: SegmentationInferencer,
    jobs: dict[Job, list],
    out: Path,
    record: RunRecord,
    summary: Summary,
    probabilities: bool,
    overlays: bool,
    workers: int,
) -> None:
    """Segment; the next cases are read and the last ones are written meanwhile."""
    begin = time.perf_counter()
    notes: dict[str, list[str]] = {}
    # A log file would not want ten lines a second.
    interval = 0.1 if sys.stderr.isatty() else 10
    with (
        ThreadPoolExecutor(1) as writer,
        tqdm(total=len(jobs), desc='Segmenting', unit='case', mininterval=interval) as progress,
    ):
        writing: list[tuple[Job, Future]] = []
        for job, read in inferencer.read_ahead(list(jobs), workers):
            try:
                case = read.result()
            except CaseError as error:
                _note_bad(summary, {job.case: str(error)})
                progress.update()
                continue
            with summary.spent.in_model():
                segmentation = inferencer.segment(case, probabilities)
            summary.tumours.add(segmentation.training_labels, segmentation.prepared.read_seg())
            write = partial(_write, segmentation, out, record, jobs[job], overlays)
            writing.append((job, writer.submit(write)))
            for note in segmentation.notes:
                notes.setdefault(note, []).append(job.case)
            while len(writing) > WRITING:
                _finish(*writing.pop(0), summary, progress)
        for job, written in writing:
            _finish(job, written, summary, progress)
    summary.spent.total = time.perf_counter() - begin
    for note, cases in notes.items():
        some = f'{", ".join(cases[:5])}{" …" * (len(cases) > 5)}'
        _say(f'WARNING In {counted(len(cases), "case")} {note}: {some}.')


def _finish(job: Job, written: Future, summary: Summary, progress: tqdm) -> None:
    written.result()
    summary.segmented.append(job.case)
    progress.update()


def _write(
    segmentation: Segmentation, out: Path, record: RunRecord, fingerprint: list, overlays: bool
) -> None:
    segmentation.save(out, overlays)
    record.add(segmentation.case, fingerprint, volumes=segmentation.volumes)


def _write_volumes(out: Path, record: RunRecord) -> None:
    """Write a row for each segmentation in the folder, also for those of earlier calls."""
    rows = [
        dict(case=case, **{f'{region}_ml': round(ml, 3) for region, ml in entry['volumes'].items()})
        for case, entry in sorted(record.done.items())
        if (out / f'{case}.nii.gz').exists()
    ]
    if rows:
        write_csv(out / 'volumes.csv', rows)


def _files(out: Path, case: str, probabilities: bool, overlays: bool) -> list[Path]:
    files = [out / f'{case}.nii.gz']
    files += [out / 'probabilities' / f'{case}.nii.gz'] * probabilities
    return files + [out / 'overlays' / f'{case}.png'] * overlays


def _note_bad(summary: Summary, bad: dict[str, str]) -> None:
    for case, reason in bad.items():
        summary.bad[case] = reason
        _say(f'BAD {case}: {reason}')


def _say(message: str) -> None:
    tqdm.write(printable(message), file=sys.stderr)

"""Trains, predicts and scores all folds of a store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.config import Config
from mmengine.registry import DefaultScope

from mmcggm.benchmark import read_result, run_all
from mmcggm.benchmark.data import FILE as DATA_FILE
from mmcggm.benchmark.data import DataFiles, changed_data
from mmcggm.benchmark.engines import Engine
from mmcggm.benchmark.results import FILE as RESULT
from mmcggm.datasets import BraTSDataset
from mmcggm.datasets.brats.folds import fold_splits, foldable_cases
from mmcggm.datasets.brats.label_conventions import get_convention
from mmcggm.datasets.brats.splits import SPLITS, splits_text
from mmcggm.datasets.brats.volume_store import StoredCase, case_path
from mmcggm.utils import import_optional
from mmcggm.utils.counted import counted
from mmcggm.utils.folders import make_writable

from .fold_config import fold_config, share_of_validation, store_of, tested_data_sets
from .fold_run import FoldRun
from .record import TAKE_ANOTHER, keep_record


class CrossValidation:
    """A training for each fold, whose held-out cases it segments and scores.

    Args:
        cfg: Of a training on a store of brain tumours.
        folds: How many.
        seed: Of the folds; that of the trainings is the config's.
        val_share: Share of the patients beside a fold that validate its training. Default: a tenth if the
            config asks which checkpoint is best, stops early or waits for a plateau, else 0: all train.
        out_labels: Whose labels the segmentations get, see :class:`mmcggm.evaluation.NiftiWriter`.

    Attributes:
        store (str): The data's folder.
        cases (list[str]): All that take part.
        patients (Patients): How they are told.
        left_out (list[str]): Cases of the store that take no part, for they have no segmentation or are not
            in its ``splits.json``.
        splits (list[dict[str, list[str]]]): Of each fold the cases under train, val and test.

    Raises:
        FileNotFoundError: If the store or a case is missing.
        ImportError: If what scores is not installed.
        ValueError: If the config, the store or the number of folds doesn't do; it says why.
    """

    def __init__(
        self,
        cfg: Config,
        folds: int,
        seed: int = 0,
        val_share: float | None = None,
        out_labels: str = 'source',
    ) -> None:
        import_optional('panoptica', extra='brats')  # before training, not after it
        self.store = store_of(cfg)
        share = share_of_validation(cfg, val_share)
        self._cfg = fold_config(cfg, share > 0, out_labels)
        self.cases, self.patients, self.left_out = foldable_cases(self.store)
        self.splits = fold_splits(self.cases, self.patients, folds, seed, share)
        self._seed = seed
        self._asked = dict(folds=folds, seed=seed, val_share=share, settings=self._cfg.to_dict())
        self._check_labels(out_labels)
        self._check_tested()

    def describe(self) -> str:
        """Say what was made of the store."""
        sizes = ', '.join(str(len(splits['test'])) for splits in self.splits)
        cases = counted(len(self.cases), 'case')
        patients = counted(len(self.patients.groups(self.cases)), 'patient')
        text = f'{self.store}: {cases} of {patients} in folds of {sizes}'
        validating = ', '.join(str(len(splits['val'])) for splits in self.splits)
        text += f'; {validating} others validate.' if self.splits[0]['val'] else '; all others train.'
        if self.left_out:
            text += (
                f' {len(self.left_out)} cases take no part, since its splits.json has them under '
                f"'unlabelled' or not at all, such as {self.left_out[0]}."
            )
        return text

    def run(
        self, work_dir: Path, jobs: int = 1, engine: Engine | None = None
    ) -> tuple[list[FoldRun], dict[FoldRun, str]]:
        """Do what is not done yet, see :func:`mmcggm.benchmark.run_all`.

        A fold that was interrupted goes on from its newest checkpoint. One whose figures or segmentations
        are gone predicts again.

        Args:
            work_dir: Of this cross-validation alone.
            jobs: Number of folds at a time.
            engine: Where they are done. Default: processes of this machine.

        Returns:
            All folds, and why some failed.

        Raises:
            OSError: If nothing can be written there.
            ValueError: If the folder is of something else, or was begun with another config, other folds or
                other data.
        """
        make_writable(work_dir, '--work-dir')
        runs = [FoldRun(number, self._cfg, splits, {}) for number, splits in enumerate(self.splits)]
        files = {run.splits_file: splits_text(run.splits, self._seed, self.patients) for run in runs}
        keep_record(work_dir, self._asked, files, any(run.has_begun(work_dir) for run in runs))
        digests = DataFiles(work_dir / DATA_FILE)
        data = digests.digests(self._cfg)
        runs = [FoldRun(run.number, run.cfg, run.splits, data) for run in runs]
        _check_data(runs, work_dir)
        _repeat_lost(runs, work_dir)
        return runs, run_all(runs, work_dir, jobs, 'Folds', digests, engine)

    def _check_labels(self, out_labels: str) -> None:
        """Raise a ValueError if the segmentations can't be written in these labels."""
        if out_labels != 'source':
            stored = StoredCase(case_path(self.store, self.cases[0]))
            stored.on_disk(np.zeros(stored.shape, np.uint8), get_convention(out_labels).name)

    def _check_tested(self) -> None:
        """Raise a ValueError unless the config tests each case of a split once, as a whole volume."""
        items: list[tuple[str, str]] = []
        with DefaultScope.overwrite_default_scope('mmcggm'):
            for settings in tested_data_sets(self._cfg):
                kept = {key: value for key, value in settings.items() if key not in ('type', 'pipeline')}
                data_set = BraTSDataset(**{**kept, 'split': SPLITS, 'serialize_data': False})
                cases = [data_set.get_data_info(index)['case'] for index in range(len(data_set))]
                items += [(case, data_set.sample) for case in cases]
        if sorted(items) != [(case, 'volume') for case in self.cases]:
            raise ValueError(
                "`test_dataloader` in the config must read each case once, with sample='volume' and without "
                f'`indices`: of the {len(self.cases)} cases of the store it reads {len(items)} items.'
            )


def _check_data(runs: Sequence[FoldRun], work_dir: Path) -> None:
    """Raise a ValueError if folds were trained on other data than there are now."""
    begun = [run for run in runs if run.has_begun(work_dir)]
    changed = sorted({path for run in begun for path in changed_data(work_dir / run.folder, run.data)})
    if changed:
        raise ValueError(
            f'What {", ".join(changed)} holds has changed since {begun[0]} in {work_dir} was trained on it, '
            f'so its folds would not be of one set. Bring it back. {TAKE_ANOTHER}'
        )


def _repeat_lost(runs: Sequence[FoldRun], work_dir: Path) -> None:
    """Let folds that are done, but whose files are gone, predict again."""
    for run in runs:
        lost = run.missing(work_dir)
        if lost and read_result(work_dir / run.folder, run.fingerprint) is not None:
            print(f'{run} predicts again: {len(lost)} of its files are gone, such as {lost[0]}.', flush=True)
            (work_dir / run.folder / RESULT).unlink(missing_ok=True)

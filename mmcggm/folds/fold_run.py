"""The training and the test of one fold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmcggm.benchmark.results import FILE as RESULT

from .fold_config import CASES, place, tested_checkpoint

SPLITS = 'splits'  # folder of the files that name each fold's cases
SEGMENTATIONS = 'segmentations'


@dataclass(frozen=True, eq=False)
class FoldRun:
    """What the benchmark's pool runs, see :class:`mmcggm.benchmark.training.Training`.

    Attributes:
        number: Of the fold, from 0.
        cfg: Of all folds.
        splits: Cases under ``train``, ``val`` and ``test``; the last are held out.
        data: Digests of the data that it reads.
        after: Nothing comes before it.
    """

    number: int
    cfg: Config
    splits: Mapping[str, Sequence[str]]
    data: Mapping[str, str]
    after: Mapping[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """Where it belongs, below the folder of the cross-validation."""
        return Path(f'fold_{self.number}')

    @property
    def splits_file(self) -> Path:
        """What names its cases, below the same folder."""
        return Path(SPLITS, f'fold_{self.number}.json')

    @property
    def tested(self) -> str:
        """Which checkpoint predicts, ``'best'`` or ``'last'``."""
        return tested_checkpoint(self.cfg)

    @property
    def fingerprint(self) -> str:
        """Tells whether a result belongs to this config, these cases and these data."""
        content = json.dumps([self.cfg.to_dict(), self.splits, self.data], sort_keys=True, default=str)
        return hashlib.sha256(content.encode()).hexdigest()

    def placed(self, work_dir: Path) -> Config:
        """Return the config that it is started with."""
        root = work_dir.resolve()
        return place(self.cfg, root / self.splits_file, root / self.folder, root / SEGMENTATIONS)

    def has_begun(self, work_dir: Path) -> bool:
        """Whether there is something of it that would be lost: a checkpoint or a result."""
        folder = work_dir / self.folder
        return (folder / RESULT).exists() or any(folder.glob('*.pth'))

    def missing(self, work_dir: Path) -> list[Path]:
        """Return which of its figures and segmentations are not there."""
        files = [work_dir / SEGMENTATIONS / f'{case}.nii.gz' for case in self.splits['test']]
        return [file for file in (work_dir / self.folder / CASES, *files) if not file.exists()]

    def __str__(self) -> str:
        return f'fold {self.number}'

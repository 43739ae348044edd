"""What the pool needs to know of a training that it runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from mmengine.config import Config


class Training(Protocol):
    """A training, with its test, that is done once in a folder of its own. Its text names it in messages."""

    @property
    def cfg(self) -> Config:
        """The config, without anything that depends on where its folder is."""

    @property
    def after(self) -> Mapping[str, Any]:
        """By config key, the training of the same kind that must be done before."""

    @property
    def data(self) -> Mapping[str, str]:
        """Digests of the data that it reads, see :class:`~mmcggm.benchmark.data.DataFiles`."""

    @property
    def folder(self) -> Path:
        """Where it belongs, below the folder that all share."""

    @property
    def fingerprint(self) -> str:
        """Tells whether a result belongs to this config and these data."""

    @property
    def tested(self) -> str | None:
        """Which checkpoint is tested at the end, ``'best'`` or ``'last'``; None tests none."""

    def placed(self, work_dir: Path) -> Config:
        """Return the config that the training is started with, whose paths lie in ``work_dir``."""

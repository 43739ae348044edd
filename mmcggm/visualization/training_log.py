"""What a training left in its work folder: settings, curves, results."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mmengine.config import Config

NO_METRIC = ('step', 'iter', 'epoch', 'time', 'data_time', 'memory')
# Metrics by modality: `guide/audio` is the score of the guide of `audio`.
BY_MODALITY = {
    'guide': 'guide: its score alone',
    'guide_untrained': 'guide of the untrained encoder',
    'shapley': 'Shapley value',
    'utilisation': 'utilisation: what is lost without it, of all',
}


@dataclass(frozen=True)
class TrainingLog:
    """A training, all its resumed runs together.

    Attributes:
        work_dir: Its folder.
        cfg: The config of its last run; empty where the training was not made from a file.
        train: What was logged in training, a dict a logged iteration, in order.
        val: Metrics of each validation, in order, with ``step``: the epoch or iteration.
        test: Metrics of the last test; empty without one.
    """

    work_dir: Path
    cfg: Config
    train: list[dict[str, float]]
    val: list[dict[str, float]]
    test: dict[str, float]

    @property
    def method(self) -> str:
        """The balancing method with its settings, as the config names it, or ``'joint'``."""
        balancer = self.cfg.get('optim_wrapper', {}).get('balancer')
        return 'joint' if balancer is None else _described(balancer)

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics of the test or, without one, of the last validation."""
        source = self.test or (self.val[-1] if self.val else {})
        return {name: value for name, value in source.items() if name not in NO_METRIC}

    def by_modality(self) -> dict[str, dict[str, float]]:
        """Return, by modality, the metrics of :data:`BY_MODALITY` that there are."""
        found: dict[str, dict[str, float]] = {}
        for name, value in self.metrics.items():
            kind, _, modality = name.partition('/')
            if kind in BY_MODALITY and modality and modality != 'spread':
                found.setdefault(modality, {})[kind] = value
        return found

    def overall(self) -> dict[str, float]:
        """Return the metrics that are of no single modality or subset of them."""
        parts = (*BY_MODALITY, 'subset', 'guide_loss')
        return {name: value for name, value in self.metrics.items() if name.partition('/')[0] not in parts}


def read_training(work_dir: str | Path) -> TrainingLog:
    """Read what a training left.

    Args:
        work_dir: Work folder of an MMEngine runner.

    Raises:
        FileNotFoundError: If it holds no training.
        ValueError: If a line of a log is not JSON.
    """
    work_dir = Path(work_dir)
    train: list[dict[str, float]] = []
    val: list[dict[str, float]] = []
    config: Path | None = None
    for run in sorted(work_dir.glob('*/vis_data/scalars.json')):
        lines = list(_lines(run))
        trained = [line for line in lines if 'loss' in line]
        if not trained:  # a test
            continue
        tested = [line for line in lines if 'loss' not in line]
        train = [line for line in train if line['step'] < trained[0]['step']] + trained
        val = [line for line in val if not tested or line['step'] < tested[0]['step']] + tested
        config = run.parent / 'config.py'
    if config is None:
        raise FileNotFoundError(
            f'{work_dir} holds no training: expected {{time}}/vis_data/scalars.json with losses, as MMEngine '
            'writes it while it trains.'
        )
    tests = sorted(path for path in work_dir.glob('*/*.json') if path.stem == path.parent.name)
    test = json.loads(tests[-1].read_text(encoding='utf-8')) if tests else {}
    cfg = Config.fromfile(config) if config.exists() else Config()
    return TrainingLog(work_dir, cfg, train, val, test)


def _lines(path: Path) -> Iterator[dict[str, float]]:
    for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
        try:
            yield json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f'{path}, line {number} is not JSON: {error}') from error


def _described(balancer: object) -> str:
    """Return a balancer's config as one reads it: ``CGGM(rho='neutral', lam=0.0)``."""
    if isinstance(balancer, (list, tuple)):
        return ' + '.join(map(_described, balancer))
    if not isinstance(balancer, dict):
        return str(balancer)
    settings = (
        f'{name}={_described(value) if isinstance(value, dict) else repr(value)}'
        for name, value in balancer.items()
        if name != 'type'
    )
    kind = balancer.get('type', '?')
    kind = kind.__name__ if isinstance(kind, type) else str(kind).rpartition('.')[-1]
    return f'{kind}({", ".join(settings)})'

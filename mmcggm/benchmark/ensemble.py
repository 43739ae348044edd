"""What trained runs reach together, without any training of what joins them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from torch import Tensor

from mmcggm.engine.optim_wrapper import find_guided
from mmcggm.guided import load_weights
from mmcggm.registry import MODELS
from mmcggm.utils.checkpoints import read_checkpoint

from .checks import ENSEMBLES
from .grid import Benchmark, Run
from .results import read_result


def ensemble_accuracies(
    benchmark: Benchmark, runs: Sequence[Run], work_dir: Path
) -> dict[tuple[str, str], dict[int, float]]:
    """Return the accuracy of each ensemble of a benchmark, by setting and name, and then by seed.

    Args:
        benchmark: What ``runs`` are of.
        runs: Its runs. Seeds for which one that is needed has no result are left out.
        work_dir: Where their folders are.
    """
    finished: dict[tuple[str, str, int], Run] = {
        (run.setting, run.method, run.seed): run
        for run in runs
        if read_result(work_dir / run.folder, run.fingerprint) is not None
    }
    reached: dict[tuple[str, str], dict[int, float]] = {}
    for name, entry in benchmark.ensembles.items():
        for setting in benchmark.settings:
            for seed in dict.fromkeys(run.seed for run in runs):
                parts = [finished.get((setting, method, seed)) for method in entry['methods']]
                if None not in parts:
                    accuracy = ensemble_accuracy(parts, work_dir, entry.get('of', ENSEMBLES[0]))
                    reached.setdefault((setting, name), {})[seed] = accuracy
    return reached


def ensemble_accuracy(runs: Sequence[Run], work_dir: Path, of: str = ENSEMBLES[0]) -> float:
    """Return the accuracy on the test split of the mean of the runs' predictions.

    Each run predicts with the checkpoint that was best on the validation split. For classification with one
    label a sample.

    Args:
        runs: Finished ones of a :class:`Benchmark`, on the same test split.
        work_dir: Where their folders are.
        of: ``'probabilities'`` or ``'logits'``: what the mean is taken of.

    Raises:
        FileNotFoundError: If a run has no best checkpoint.
    """
    predicted = [_logits(run, work_dir / run.folder) for run in runs]
    labels = predicted[0][1]
    together = torch.stack([x if of == 'logits' else x.softmax(1) for x, _ in predicted]).mean(0)
    return (together.argmax(1) == labels).double().mean().item()


@torch.no_grad()
def _logits(run: Run, folder: Path) -> tuple[Tensor, Tensor]:
    """Return logits ``(N, K)`` and labels ``(N,)`` of the test split."""
    found = sorted(folder.glob('best_*.pth'))
    if len(found) != 1:
        raise FileNotFoundError(
            f"'{folder}' holds {len(found)} checkpoints best_*.pth instead of one: its config must have "
            '`default_hooks.checkpoint.save_best`.'
        )
    init_default_scope(run.cfg.get('default_scope', 'mmcggm'))
    model = find_guided(MODELS.build(run.cfg.model)).eval()
    load_weights(model, read_checkpoint(str(found[0])), str(found[0]))
    outputs, labels = [], []
    for batch in Runner.build_dataloader(run.cfg.test_dataloader, seed=0):
        with model.watch() as seen:
            model.test_step(batch)
        outputs.append(seen.output)
        labels.append(seen.labels())
    return torch.cat(outputs), torch.cat(labels)

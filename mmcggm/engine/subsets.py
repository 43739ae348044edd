"""What a trained model reaches with each subset of its modalities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean
from typing import Any

from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner, TestLoop

from mmcggm.balancers.coalitions import coalitions, masking
from mmcggm.guided import GuidedModel
from mmcggm.registry import LOOPS

Results = dict[tuple[str, ...], dict[str, float]]


@LOOPS.register_module()
class SubsetTestLoop(TestLoop):
    """Tests the model with each subset of its modalities, so that a benchmark compares methods on them.

    ``test_cfg = dict(type='SubsetTestLoop')``. The metrics of all modalities together keep their names;
    ``{metric}/{a+b}`` is the metric with modalities ``a`` and ``b`` alone, and ``{metric}/subsets`` the mean
    over all subsets. All modalities together are tested last, so that files that an evaluator writes in each
    test, such as segmentations, are of them in the end. What is refused is what :func:`evaluate_subsets`
    refuses.
    """

    def run(self) -> dict[str, float]:
        results = _test_each(self.runner.model, super().run)
        complete, *parts = results
        named = {f'{name}/{"+".join(part)}': value for part in parts for name, value in results[part].items()}
        means = {
            f'{name}/subsets': fmean(values[name] for values in results.values())
            for name in results[complete]
        }
        return results[complete] | named | means


def evaluate_subsets(runner: Runner, metrics: Sequence[str] = ()) -> Results:
    """Test the runner's model with each of the ``2^M − 1`` subsets of its modalities, the largest first.

    The representations of the others are zero on their way into fusion, which is what
    :class:`~mmcggm.balancers.methods.modality_dropout.ModalityDropout` trains for. All modalities together
    are tested last, so that what evaluators write in each test is of them in the end.

    Args:
        runner: Its ``load_from`` is the checkpoint.
        metrics: Those that are wanted, which the first subset must have.

    Returns:
        By subset the metrics of the runner's test evaluator that are numbers; none of guides, which see
        representations before they are changed.

    Raises:
        ValueError: If the model is no :class:`~mmcggm.guided.GuidedModel`, or its ``only`` is set, or the
            evaluator gives no numbers or lacks a metric that is wanted.
    """
    return _test_each(runner.model, runner.test, metrics)


def _test_each(model: Any, test: Callable[[], dict[str, Any]], metrics: Sequence[str] = ()) -> Results:
    """Return what ``test`` gives while the model gets each subset, first of the largest, tested last."""
    model = model.module if is_model_wrapper(model) else model
    if not isinstance(model, GuidedModel):
        raise ValueError(
            f'`model.type` is {type(model).__name__}, which does not say what its modalities are: take the '
            'config of a GuidedModel, whose `encoders` name them. Checkpoints without guides load there, too.'
        )
    if model.only is not None:
        raise ValueError(f"`model.only` is '{model.only}', so nothing else reaches fusion: take it out.")
    count = len(model.modalities)
    complete, *parts = sorted(coalitions(count)[1:], key=len, reverse=True)
    results: Results = {}
    for chosen in (*parts, complete):
        subset = tuple(model.modalities[index] for index in sorted(chosen))
        print_log(f'Testing with {", ".join(subset)}.', 'current')
        with model.changing(masking(chosen, count)):
            results[subset] = _numbers(test())
        lacking = [metric for metric in metrics if metric not in results[subset]]
        if lacking or not results[subset]:
            raise ValueError(
                f'The test evaluator gives no {lacking or "numbers"}; it gives {list(results[subset])}.'
            )
    return {subset: results.pop(subset)} | results


def _numbers(metrics: dict[str, Any]) -> dict[str, float]:
    own = {name: value for name, value in metrics.items() if not name.startswith('guide')}
    return {name: float(value) for name, value in own.items() if isinstance(value, (int, float))}

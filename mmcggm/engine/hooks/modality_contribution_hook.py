"""What each modality contributes to the fused model's score."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial, reduce
from typing import Any

import torch
from mmengine.dist import all_gather_object, all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor

from mmcggm.balancers import Change, scores_from_counts
from mmcggm.balancers.coalitions import Coalition, coalitions, masking, shapley_values
from mmcggm.engine.optim_wrapper import find_guided
from mmcggm.guided import GuidedModel
from mmcggm.guided.present import of_samples
from mmcggm.registry import HOOKS
from mmcggm.structures.nested import float_tensors, map_tensors
from mmcggm.structures.sequences import is_padded, without_padding

MAX_MODALITIES = 6

# Of a modality, for each tensor of its representation: its sum over the samples, and their number.
_Sums = dict[str, tuple[list[Tensor], int]]


@HOOKS.register_module()
class ModalityContributionHook(Hook):
    """Adds to the metrics what the fused model scores on each subset of the modalities.

    ``v(S)`` is the score (:class:`~mmcggm.guided.Task`) of the head's output over the whole data set, while
    the representations of all modalities outside the subset ``S`` are masked.

    - ``subset/{a+b}``: ``v({a, b})``; ``subset/none``: ``v`` of the empty set;
    - ``shapley/{modality}``: ``φ_i``, the mean over all orders in which modalities can join of what this
      one adds. ``Σ_i φ_i = v(all) - v(none)``. ``shapley/spread`` is the largest less the smallest;
    - ``utilisation/{modality}``: ``(v(all) - v(all without i)) / |v(all)|``, the conditional utilisation
      rate (Wu et al., ICML 2022, arXiv 2202.05306): what share of the score is lost without the modality. It
      is negative where the model scores better without it. Published for two modalities, with the mean over
      the training split as mask. Not a number where ``v(all)`` is zero.

    The mean as mask takes away the information and leaves the size: the rest of the model sees what it sees
    on average, while a zero may be something that it never met. It is the mean over the evaluated data set,
    without its labels: over samples at each position (batches on the first axis); of sequences with padding,
    over all tokens that count. A mask is a counterfactual that the model was not trained for: a modality that
    is of use only together with another shows in the subsets, not alone.

    The data set is read once more (with the mean twice), and the model runs ``2^M`` times on each batch. It
    must see a batch in one pass: one that cuts a volume into parts is refused. With several processes
    counts are summed, so a sample that a sampler repeats counts twice.

    Args:
        mask: ``'mean'`` or ``'zero'``.
        validation: Whether to do this in validation too. Testing always does.

    Raises:
        ValueError: If ``mask`` is unknown.
    """

    priority = 'HIGHEST'  # the hooks that log metrics come after it

    def __init__(self, mask: str = 'mean', validation: bool = False) -> None:
        if mask not in ('mean', 'zero'):
            raise ValueError(f"ModalityContributionHook needs mask 'mean' or 'zero', got {mask!r}.")
        self.mask = mask
        self.validation = validation

    def before_run(self, runner: Runner) -> None:
        """Check the model.

        Raises:
            TypeError: If it is no guided model.
            ValueError: If it has too many modalities.
        """
        count = len(find_guided(runner.model).modalities)
        if count > MAX_MODALITIES:
            raise ValueError(
                f'ModalityContributionHook runs the model on every subset of at most {MAX_MODALITIES} '
                f'modalities, but `model.encoders` names {count}: remove the hook from `custom_hooks`.'
            )

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        if self.validation:
            self._measure(runner, runner.val_dataloader, {} if metrics is None else metrics)

    def after_test_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        self._measure(runner, runner.test_dataloader, {} if metrics is None else metrics)

    @torch.no_grad()
    def _measure(self, runner: Runner, loader: Iterable, metrics: dict[str, float]) -> None:
        guided = find_guided(runner.model)
        runner.logger.info(f'Scoring {2 ** len(guided.modalities)} subsets of {list(guided.modalities)}')
        with torch.random.fork_rng(devices=[]):  # a loader draws a seed, which training must not miss
            means = representation_means(guided, loader) if self.mask == 'mean' else None
            scores = subset_scores(guided, loader, means)
        metrics.update(contributions(scores, guided.modalities))


def subset_scores(
    guided: GuidedModel, batches: Iterable[Any], means: Mapping[str, Sequence[Tensor]] | None = None
) -> dict[Coalition, Tensor]:
    """Return the fused model's score with each subset of the modalities, scalars.

    Args:
        guided: The model, in evaluation mode.
        batches: What its ``test_step`` takes. Those of all processes count.
        means: What :func:`representation_means` returned, to take the place of the other modalities'
            representations. Default: zero.

    Raises:
        RuntimeError: If the model predicts without calling its head or any encoder.
    """
    subsets = coalitions(len(guided.modalities))

    def counts(batch: Any, subset: Coalition) -> Tensor:
        changes = masking(subset, len(guided.modalities))
        if means is not None:  # a modality that never appeared has none
            names = guided.modalities
            changes = {i: _replacing(means[names[i]]) for i in changes if names[i] in means}
        with guided.watch(changes) as seen:
            guided.test_step(batch)
        if not (seen.found and seen.called_head):
            called = f"encoders {list(guided.modalities)} and the head '{guided.head_path}'"
            raise RuntimeError(
                f'ModalityContributionHook reads the {called} when the model predicts, but it predicts '
                'without calling them as modules. Remove the hook, or let `predict` call them.'
            )
        return seen.fused_counts()

    batch_counts = (torch.stack([counts(b, subset) for subset in subsets]).double() for b in batches)
    totals = reduce(torch.add, batch_counts)
    all_reduce(totals)
    return dict(zip(subsets, scores_from_counts(totals), strict=True))


def representation_means(guided: GuidedModel, batches: Iterable[Any]) -> dict[str, list[Tensor]]:
    """Return the mean of each tensor of a representation over samples, by modality.

    Of sequences with padding it is the mean over all tokens that count. Those of all processes count.

    Raises:
        ValueError: If tensors of a modality differ in shape, beyond the first axis.
    """
    sums: _Sums = {}
    for batch in batches:
        with guided.watch() as seen:
            guided.test_step(batch)
        for modality, value in seen.found.items():
            own = map_tensors(partial(of_samples, there=seen.there[modality]), value)
            _add(sums, {modality: _sum(own)})
    everywhere: _Sums = {}
    for found in all_gather_object(sums):
        _add(everywhere, found)
    return {modality: [part / count for part in parts] for modality, (parts, count) in everywhere.items()}


def contributions(scores: Mapping[Coalition, Tensor], modalities: Sequence[str]) -> dict[str, float]:
    """Return the metrics of :class:`ModalityContributionHook` from the score of each subset."""
    names = {s: '+'.join(modalities[i] for i in sorted(s)) or 'none' for s in scores}
    everything = frozenset(range(len(modalities)))
    shapley = shapley_values(scores)
    lost = torch.stack([scores[everything] - scores[everything - {i}] for i in sorted(everything)])
    used = lost / scores[everything].abs()
    return {
        **{f'subset/{names[subset]}': score.item() for subset, score in scores.items()},
        **{f'shapley/{m}': value for m, value in zip(modalities, shapley.tolist(), strict=True)},
        'shapley/spread': (shapley.max() - shapley.min()).item(),
        **{f'utilisation/{m}': value for m, value in zip(modalities, used.tolist(), strict=True)},
    }


def _replacing(means: Sequence[Tensor]) -> Change:
    """Return the change that puts ``means`` in the place of a representation's tensors, for one pass."""
    left = iter(means)
    return lambda tensor: torch.empty_like(tensor).copy_(next(left))


def _sum(representation: Any) -> tuple[list[Tensor], int]:
    if is_padded(representation):
        tokens, padding = without_padding(representation)
        count = tokens.shape[:2].numel() if padding is None else int((~padding).sum())
        return [tokens.double().sum((0, 1)).cpu()], count
    tensors = float_tensors(representation)
    return [tensor.double().sum(0).cpu() for tensor in tensors], len(tensors[0])


def _add(sums: _Sums, new: _Sums) -> None:
    for modality, (parts, count) in new.items():
        old, seen = sums.get(modality, ([torch.zeros_like(part) for part in parts], 0))
        shapes = [[tuple(part.shape) for part in side] for side in (old, parts)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"ModalityContributionHook: the representations of '{modality}' have no mean, since their "
                f"shapes {shapes[0]} and {shapes[1]} differ between batches. Use `mask='zero'`."
            )
        sums[modality] = [a + b for a, b in zip(old, parts, strict=True)], seen + count

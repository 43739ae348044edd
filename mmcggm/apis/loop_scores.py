"""What guides and the fused model score on a data set, in a loop of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from mmcggm.guided.guided_pass import evaluating
from mmcggm.guided.score_counts import ScoreCounts
from mmcggm.structures.nested import describe, map_tensors
from mmcggm.utils.generators import kept_generators

from .loop_control import LoopControl
from .loop_guided import LoopGuided
from .sample import arguments_of
from .task_of import TARGET, Target, find_in

Run = Callable[[Any], Any]


@torch.no_grad()
def loop_scores(
    guided: LoopGuided,
    loader: Iterable[Any],
    run: Run | None,
    target: Target | None,
    control: LoopControl | None,
) -> dict[str, float]:
    """Return scores over a data set, see :meth:`Balanced.evaluate`."""
    counts = ScoreCounts()
    with kept_generators(), evaluating(guided.model):
        for batch in loader:
            with guided.watch() as seen:
                seen.copies_call = control is not None
                found = run_batch(guided, batch, target is not None) if run is None else run(batch)
            seen.batch[TARGET] = found if target is None else find_in(seen.batch, target)
            counts.add('guide', seen.counts())
            if seen.called_head:
                counts.add('fused', seen.fused_counts().unsqueeze(0))
            if control is not None:
                counts.add('guide_untrained', control.counts(seen))
    if 'guide' not in counts:
        raise ValueError('`balanced.evaluate` got a loader without batches.')
    scores: dict[str, float] = {}
    for name in ('guide', 'guide_untrained'):
        if name in counts:
            values = zip(guided.modalities, counts.scores(name), strict=True)
            scores |= {f'{name}/{modality}': value for modality, value in values}
    return scores | ({'fused': counts.scores('fused')[0]} if 'fused' in counts else {})


def run_batch(guided: LoopGuided, batch: Any, holds_target: bool) -> Any:
    """Run the model on a batch, on its device, and return the target, the last of what the batch holds.

    Args:
        guided: The model.
        batch: Inputs and target, ``(inputs, target)`` or ``(first, second, …, target)``; inputs by name in a
            dict or by position.
        holds_target: Whether the model gets its target, so that all of the batch are inputs.

    Raises:
        ValueError: If the batch is not of this kind.
    """
    device = next(iter(guided.model.parameters())).device
    batch = map_tensors(lambda tensor: tensor.to(device), batch)
    if holds_target:
        inputs, target = batch, None
    elif isinstance(batch, (tuple, list)) and len(batch) > 1:
        *parts, target = batch
        inputs = parts[0] if len(parts) == 1 else parts
    else:
        raise ValueError(
            '`balanced.evaluate` takes batches (inputs, target), with inputs by name in a dict or by '
            f'position, but the loader yields {describe(batch)}: give `run`, a function of a batch that '
            'calls the model and returns the target.'
        )
    args, kwargs = arguments_of(tuple(inputs) if isinstance(inputs, list) else inputs)
    guided.model(*args, **kwargs)
    return target

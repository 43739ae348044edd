"""What a model makes of a whole data set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from typing import Any, cast

import torch
from mmengine.dist import all_gather_object, all_reduce, get_dist_info
from torch import Tensor
from torch.utils.data import DataLoader

from mmcggm.balancers import scores_from_counts

from .guided_model import GuidedModel
from .guided_pass import GuidedPass
from .present import of_samples


def whole_pass(loader: DataLoader) -> DataLoader:
    """Return a loader that goes once through the data set of ``loader``, in order.

    Of several processes each has a part without gaps, so that those of all, one after another, are in order.
    """
    (rank, world), size = get_dist_info(), len(cast(Sized, loader.dataset))
    return DataLoader(
        loader.dataset,
        batch_size=loader.batch_size or 1,
        sampler=range(rank * size // world, (rank + 1) * size // world),
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
    )


@torch.no_grad()
def survey(guided: GuidedModel, batches: Iterable[Any]) -> list[tuple[Tensor, Tensor]]:
    """Run the model, in evaluation mode, on ``batches``, which a data loader yields.

    What is drawn at random meanwhile leaves the training's random numbers as they are.

    Returns:
        For each modality its representations ``(N_i, C_i)``, averaged over positions, and the class of each
        sample, int64 ``(N_i,)``, on the CPU: all samples that have the modality, of all processes.

    Raises:
        ValueError: If the task has no class a sample, or no sample has one of the modalities.
    """
    vectors: list[list[Tensor]] = [[] for _ in guided.modalities]
    labels: list[list[Tensor]] = [[] for _ in guided.modalities]
    for seen in _passes(guided, batches, mode='tensor'):
        classes = seen.labels().cpu()
        for index, vector in enumerate(seen.vectors()):
            if vector is not None:
                there = seen.samples_with(index)
                vectors[index].append(of_samples(vector.float().cpu(), there))
                labels[index].append(of_samples(classes, there))
    parts = all_gather_object((vectors, labels))
    found = []
    for index, modality in enumerate(guided.modalities):
        own = [[batch for part in parts for batch in part[kind][index]] for kind in (0, 1)]
        if not own[0]:
            raise ValueError(f"No sample of a whole data set has the modality '{modality}'.")
        found.append((torch.cat(own[0]), torch.cat(own[1])))
    return found


@torch.no_grad()
def mean_losses(guided: GuidedModel, batches: Iterable[Any]) -> list[float]:
    """Return the losses of the guides and, last, of the fused model, ``M + 1``, as :func:`survey` runs them.

    They are means over the samples of all processes; of a modality that no batch has it is NaN.
    """
    counts = torch.stack([seen.loss_counts() for seen in _passes(guided, batches, mode='predict')]).sum(0)
    all_reduce(counts)
    return scores_from_counts(counts).tolist()


def _passes(guided: GuidedModel, batches: Iterable[Any], mode: str) -> Iterator[GuidedPass]:
    training = guided.training
    guided.eval()
    with torch.random.fork_rng(devices=[]):
        for data in batches:
            with guided.watch() as seen:
                guided._run_forward(guided.data_preprocessor(data, False), mode=mode)
            yield seen
    guided.train(training)

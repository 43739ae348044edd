"""What the encoders make of a whole data set."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from mmengine.dist import all_gather_object
from torch import Tensor

from .guided_model import GuidedModel
from .guided_pass import pooled_vector


@torch.no_grad()
def survey(guided: GuidedModel, batches: Iterable[Any]) -> list[tuple[Tensor, Tensor]]:
    """Run the model, in evaluation mode, on ``batches``, which a data loader yields.

    Returns:
        For each modality its representations ``(N_i, C_i)``, averaged over positions, and the class of each
        sample, int64 ``(N_i,)``, on the CPU: all samples that have the modality, of all processes.

    Raises:
        ValueError: If the task has no class a sample, or no sample has one of the modalities.
    """
    vectors: list[list[Tensor]] = [[] for _ in guided.modalities]
    labels: list[list[Tensor]] = [[] for _ in guided.modalities]
    training = guided.training
    guided.eval()
    for data in batches:
        with guided.watched() as seen:
            guided._run_forward(guided.data_preprocessor(data, False), mode='tensor')
        classes = guided.task.labels(seen.batch).cpu()
        for index, modality in enumerate(guided.modalities):
            if modality in seen.representations:
                vectors[index].append(pooled_vector(seen.representations[modality]).float().cpu())
                labels[index].append(classes)
    guided.train(training)
    parts = all_gather_object((vectors, labels))
    found = []
    for index, modality in enumerate(guided.modalities):
        own = [[batch for part in parts for batch in part[kind][index]] for kind in (0, 1)]
        if not own[0]:
            raise ValueError(f"No sample of a whole data set has the modality '{modality}'.")
        found.append((torch.cat(own[0]), torch.cat(own[1])))
    return found

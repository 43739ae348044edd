"""Diagnosing and re-learning (Wei et al., ECCV 2024, arXiv 2407.09705)."""

from __future__ import annotations

import torch
from torch import Tensor

from mmcggm.balancers.balancer import Balancer
from mmcggm.balancers.needs import Needs
from mmcggm.balancers.pass_record import Pass
from mmcggm.balancers.state import Memory
from mmcggm.balancers.training import Survey
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class ReLearning(Balancer):
    """Sets each encoder part of the way back to its beginning, further where it fits only the training set.

    After every ``interval`` epochs, k-means with as many clusters as classes is run on each modality's
    representations of the training and of the validation set. The purity ``P`` of clusters is the fraction
    of samples whose class is the most frequent one in their cluster. The gap of modality ``i`` between the
    two sets says how much of what separates its representations is memorised, and sets the strength:

        ``g_i = |P_i(train) - P_i(val)|``,  ``α_i = tanh(λ g_i)``,  ``θ_i ← (1 - α_i) θ_i + α_i θ_i^0``

    where ``θ_i^0`` are the encoder's parameters as training began, be they random or pretrained. A
    modality that has little to say has a small gap, so it isn't made to learn noise. Each modality is
    judged alone: the method is the same for any number of them, and for any fusion.

    As in the authors' code, each channel is first scaled to [-1, 1], buffers (running statistics) and the
    optimizer's state stay, and nothing else in the model changes. There k-means and its random numbers are
    scikit-learn's, here our own; and epochs are counted so that the first re-learning comes one earlier.

    For classification with one class a sample; validation must see other samples than training. Encoders
    need epochs to learn again, so leave some after the last re-learning. The checkpoint's balancer state
    holds ``θ^0``, the size of the encoders.

    Args:
        lam: λ, positive.
        interval: Epochs between two re-learnings, at least 1; or, a float below 1, the fraction of the
            training between them, at the next end of an epoch.
        times: How often it happens at most, at least 1.

    Raises:
        ValueError: If an argument is out of its range.
    """

    needs = Needs(epochs=True, survey=True)
    initial = Memory()  # θ^0
    epochs = Memory(0)
    done = Memory(0)  # re-learnings

    def __init__(self, lam: float = 3.0, interval: int | float = 20, times: int = 3) -> None:
        super().__init__()
        is_fraction = isinstance(interval, float) and 0 < interval < 1
        if lam <= 0 or not (is_fraction or (isinstance(interval, int) and interval >= 1)) or times < 1:
            raise ValueError(
                'ReLearning needs lam > 0, an interval of whole epochs or of a fraction of the training, and '
                f'times >= 1, got lam={lam}, interval={interval} and times={times}.'
            )
        self.lam = lam
        self.interval = interval
        self.times = times

    def observe(self, seen: Pass) -> None:
        """Remember the encoders, before anything is learnt, and check what will be needed.

        Raises:
            ValueError: If there are no classes, or nobody answers for the data sets.
        """
        if self.initial is not None:
            return
        seen.labels()
        _ = self._survey
        self.initial = [[p.detach().clone() for p in parameters] for parameters in self.encoders]

    @property
    def _survey(self) -> Survey:
        if self.training.survey is None:
            raise ValueError(
                'ReLearning compares representations of the training and the validation set: attach it to a '
                'Training with a `survey`.'
            )
        return self.training.survey

    @property
    def _is_time(self) -> bool:
        if isinstance(self.interval, int):
            return self.epochs % self.interval == 0
        return self.clock.progress_after >= (self.done + 1) * self.interval - 1e-9

    def end_epoch(self) -> None:
        """Set the encoders back, if it is time."""
        self.epochs += 1
        if not self.active or self.done == self.times or not self._is_time:
            return
        self.done += 1
        gaps = torch.tensor(
            [
                abs(separability(*train) - separability(*val))
                for train, val in zip(*map(self._survey, ('train', 'val')), strict=True)
            ]
        )
        strengths = torch.tanh(self.lam * gaps)
        self.stats = {'gap': gaps, 'alpha': strengths}
        with torch.no_grad():
            for parameters, initial, alpha in zip(
                self.encoders, self.initial, strengths.tolist(), strict=True
            ):
                for parameter, first in zip(parameters, initial, strict=True):
                    parameter.lerp_(first.to(parameter), alpha)


def separability(vectors: Tensor, labels: Tensor) -> float:
    """Return the purity of the k-means clusters of ``vectors`` ``(N, C)``, of classes ``labels`` ``(N,)``."""
    low, high = vectors.amin(0), vectors.amax(0)
    scaled = 2 * (vectors - low) / torch.where(high > low, high - low, 1) - 1
    classes, labels = labels.unique(return_inverse=True)
    return purity(k_means(scaled, len(classes)), labels)


def purity(clusters: Tensor, labels: Tensor) -> float:
    """Return the fraction of samples whose label is the most frequent one in their cluster."""
    table = torch.zeros(int(clusters.max()) + 1, int(labels.max()) + 1)
    table.index_put_((clusters, labels), torch.ones(len(labels)), accumulate=True)
    return (table.amax(1).sum() / len(labels)).item()


def k_means(points: Tensor, count: int, iterations: int = 300, seed: int = 0) -> Tensor:
    """Return the cluster ``(N,)`` of each of ``points`` ``(N, C)``, one of ``count``.

    Lloyd's algorithm from a k-means++ start (Arthur and Vassilvitskii, SODA 2007).
    """
    generator = torch.Generator().manual_seed(seed)
    distances = torch.ones(len(points))
    chosen_ones: list[Tensor] = []
    for _ in range(count):
        chosen = torch.multinomial(distances + torch.finfo(distances.dtype).tiny, 1, generator=generator)
        chosen_ones.append(points[chosen])
        distances = torch.cdist(points, torch.cat(chosen_ones)).square().amin(1)
    centres = torch.cat(chosen_ones)
    for _ in range(iterations):
        nearest = torch.cdist(points, centres).argmin(1)
        sizes = torch.bincount(nearest, minlength=count).unsqueeze(1)
        means = torch.zeros_like(centres).index_add_(0, nearest, points) / sizes.clamp(min=1)
        moved = torch.where(sizes > 0, means, centres)
        if torch.equal(moved, centres):
            break
        centres = moved
    return nearest

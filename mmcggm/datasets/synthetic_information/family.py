"""Synthetic modalities that hold the label or not: X_i = T_i(N_i + Y) or X_i = T_i(N_i)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np

# Of a coupling: how fast what is added changes with what decides on it, and how large it gets. With less an
# ordinary perceptron sees through any number of them at once.
GAIN, HEIGHT = 3.0, 2.0


class Drawn(NamedTuple):
    """Samples of the family.

    Attributes:
        inputs: X by modality, float32 ``(N, D)``.
        labels: Class of each, int64 ``(N,)``.
        informed: Whether each modality (in the family's order) holds the label, bool ``(N, M)``.
        latents: N + Y or N by modality, before T, float64 ``(N, D)``.
    """

    inputs: dict[str, np.ndarray]
    labels: np.ndarray
    informed: np.ndarray
    latents: dict[str, np.ndarray]


@dataclass(frozen=True)
class InformationFamily:
    """Where the label is: in all modalities, in one alone, or in none, each in a share of the samples.

    After the controlled data of MCR (Kontras et al., NeurIPS 2025, arXiv 2411.07335): Nᵢ is standard normal
    noise in D dimensions, Y is ``signal`` in the dimension of the class, and Tᵢ, fixed by the seed, mixes
    them. Tᵢ can be undone, so nothing is lost: it is ``layers[i]`` additive couplings (Dinh et al., ICLR
    workshop 2015) between random rotations, and the more there are the longer a network takes to see
    through. Sizes, couplings and their number are ours.

    Args:
        layers: Couplings by modality; its order is that of the modalities.
        shared: Share of the samples whose label is in all modalities.
        unique: Share of the samples whose label is in that modality alone, by modality; those that are not
            named have none. What is left of 1 has the label nowhere.
        classes: Number of classes, equally frequent up to one sample.
        dim: Dimensions D, an even number of at least ``classes``.
        signal: Size of Y, in standard deviations of the noise.
        seed: Of the T and of all that is drawn.

    Raises:
        ValueError: If an argument is out of its range.
    """

    layers: Mapping[str, int]
    shared: float
    unique: Mapping[str, float]
    classes: int = 4
    dim: int = 32
    signal: float = 4.0
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = [name for name in self.unique if name not in self.layers]
        if unknown or not self.layers:
            raise ValueError(f'`unique` names {unknown}, but `layers` names {list(self.layers)}.')
        if any(count < 0 for count in self.layers.values()):
            raise ValueError(f'`layers` is {dict(self.layers)}; no number may be negative.')
        shares = [self.shared, *self.unique.values()]
        if min(shares) < 0 or sum(shares) > 1 + 1e-9:
            raise ValueError(
                f'`shared` is {self.shared} and `unique` {dict(self.unique)}; shares must not be negative, '
                'nor more than 1 together.'
            )
        if self.classes < 2 or self.dim % 2 or self.dim < self.classes or self.signal <= 0:
            raise ValueError(
                'The family needs `classes` >= 2, an even `dim` >= `classes` and a `signal` above 0, got '
                f'{self.classes}, {self.dim} and {self.signal}.'
            )

    @property
    def modalities(self) -> tuple[str, ...]:
        return tuple(sorted(self.layers))  # MMEngine sorts them, too, when it saves a config

    def draw(self, samples: int, stream: int) -> Drawn:
        """Draw samples; their shares are exact up to one sample each.

        Args:
            samples: Number N.
            stream: Which of independent draws, such as a split. The same labels and noise are drawn for all
                shares: what differs is where the label is.
        """
        rng = np.random.default_rng([self.seed, 0, stream])
        labels = rng.permutation(np.arange(samples) % self.classes)
        order = rng.permutation(samples)
        places = np.zeros((len(self.layers) + 1, len(self.layers)), dtype=bool)
        places[0] = True
        np.fill_diagonal(places[1:], True)
        shares = np.cumsum([self.shared, *(self.unique.get(name, 0.0) for name in self.modalities)])
        informed = np.zeros((samples, len(self.layers)), dtype=bool)
        start = 0
        for place, end in zip(places, np.rint(shares * samples).astype(int), strict=True):
            informed[order[start:end]] = place
            start = end
        latents = {name: rng.standard_normal((samples, self.dim)) for name in self.modalities}
        for index, latent in enumerate(latents.values()):
            latent[np.arange(samples), labels] += self.signal * informed[:, index]
        inputs = {name: self.transform(name, latent).astype(np.float32) for name, latent in latents.items()}
        return Drawn(inputs, labels, informed, latents)

    def transform(self, modality: str, latents: np.ndarray) -> np.ndarray:
        """Return T of the modality, of latents ``(N, D)``."""
        x, half = latents, self.dim // 2
        *couplings, last = self.rotations(modality)
        for rotation, weight in couplings:
            x = x @ rotation
            x = np.concatenate([x[:, :half], x[:, half:] + HEIGHT * np.tanh(x[:, :half] @ weight)], axis=1)
        return x @ last[0]

    def rotations(self, modality: str) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return what T is made of: a rotation ``(D, D)`` and weights ``(D / 2, D / 2)`` of each coupling.

        The last has no coupling after its rotation.
        """
        rng = np.random.default_rng([self.seed, 1, self.modalities.index(modality)])
        half = self.dim // 2
        return [
            (
                np.linalg.qr(rng.standard_normal((self.dim, self.dim)))[0],
                rng.standard_normal((half, half)) * GAIN / half**0.5,
            )
            for _ in range(self.layers[modality] + 1)
        ]

    def best_accuracy(self, modalities: Collection[str]) -> float:
        """Return what a reader of these modalities could reach that is told which of them hold the label.

        Of one modality this is the accuracy of Bayes's rule: to be told changes no decision. Of several no
        reader is better.
        """
        own = [self.unique.get(name, 0.0) for name in modalities]
        nowhere = (1 - self.shared - sum(own)) / self.classes
        return self.shared * self.hit_rate(len(own)) + sum(own) * self.hit_rate(1) + nowhere

    def hit_rate(self, count: int) -> float:
        """Return how often the largest of the ``classes`` dimensions, summed over ``count``, is the label's.

        That is ∫ φ(t) Φ(t + a)^(classes − 1) dt with a = signal √count.
        """
        return _hit_rate(self.classes, self.signal * count**0.5)


@cache
def _hit_rate(classes: int, distance: float) -> float:
    # Here, since all data sets are imported together and scipy takes as long as half of torch.
    from scipy.integrate import quad
    from scipy.stats import norm

    return quad(lambda t: norm.pdf(t) * norm.cdf(t + distance) ** (classes - 1), -10, 10)[0]

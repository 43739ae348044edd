"""Noticing that nothing is segmented in any case, which figures and files show only to those who look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

NOT_FINITE = (
    'the network gives NaN, which counts as background: its weights hold such values, as after a training '
    'that diverged, or numbers overflow in half precision'
)


@dataclass
class TumourCount:
    """In how many cases a tumour is predicted, and in how many there is none to predict.

    Attributes:
        cases: How many were counted.
        predicted: In how many of them a voxel is predicted as something else than background.
        healthy: How many have a reference that holds background alone.
        not_finite: For how many the network gives NaN.
    """

    cases: int = 0
    predicted: int = 0
    healthy: int = 0
    not_finite: int = 0

    def add(self, labels: Any, reference: Any = None, finite: bool = True) -> None:
        """Count a case.

        Args:
            labels: The predicted training labels, an array or a tensor of any shape.
            reference: The true ones, where they are known.
            finite: Whether the probabilities that they come from are numbers.
        """
        self.cases += 1
        self.predicted += bool(labels.any())
        self.healthy += reference is not None and not bool(reference.any())
        self.not_finite += not finite

    def warning(self) -> str | None:
        """Return what to say of NaN, or if every case is background alone, though not all are healthy."""
        if self.not_finite:
            return f'In {self.not_finite} of {self.cases} cases {NOT_FINITE}.'
        if self.predicted or self.healthy == self.cases:
            return None
        which = f'Each of {self.cases} cases' if self.cases > 1 else 'The only case'
        return (
            f'{which} is predicted as background alone. Mostly the network is untrained or has collapsed '
            '(look at its loss and at the Dice of its validation), or it gets other images than it learnt '
            'from: not skull-stripped, other sequences, of another resolution or standardised otherwise.'
        )

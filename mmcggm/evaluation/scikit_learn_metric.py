"""What the metrics share whose figures are those of scikit-learn."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from mmengine.evaluator import BaseMetric

from mmcggm.utils import import_optional


class ScikitLearnMetric(BaseMetric):
    """A metric over all samples of a data set, which has at least one.

    Args:
        **kwargs: Arguments of MMEngine's ``BaseMetric``.

    Raises:
        ImportError: If scikit-learn is not installed.
    """

    default_prefix = ''  # None makes MMEngine warn about a missing prefix

    def __init__(self, **kwargs) -> None:
        super().__init__(**kwargs)
        import_optional('sklearn', extra='data')  # before training, not after its first epoch

    def compute_metrics(self, results: list[Any]) -> dict[str, float]:
        """Return :meth:`score` of the samples.

        Raises:
            ValueError: If there is none.
        """
        if not results:
            raise ValueError(f'{type(self).__name__} has no sample to evaluate: the data set is empty.')
        return self.score(results)

    @abstractmethod
    def score(self, results: list[Any]) -> dict[str, float]:
        """Return the figures of what :meth:`process` kept; print them as a table."""

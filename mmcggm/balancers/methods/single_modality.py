"""Training with one modality alone, in the model of all."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from mmcggm.balancers.balancer import Balancer
from mmcggm.balancers.pass_record import Change
from mmcggm.registry import BALANCERS


@BALANCERS.register_module()
class SingleModality(Balancer):
    """Sets all representations but one to zero: the baseline that tells what a modality can reach alone.

    The same holds in the validation of this training, and in a test that follows it in the same process.
    Elsewhere, a test of its checkpoint sees all modalities, of which the others are untrained: there the
    score of the modality's guide, or of that modality alone, counts.

    The other encoders get no gradient; with several processes the config needs
    ``find_unused_parameters = True``. For every task.

    Args:
        modality: Its name in the guided model's ``encoders``.
    """

    changes_prediction = True

    def __init__(self, modality: str) -> None:
        super().__init__()
        self.modality = modality

    def changes(self) -> Mapping[int, Change]:
        """Return what sets the other modalities to zero.

        Raises:
            ValueError: If the model has no such modality.
        """
        if self.modality not in self.modalities:
            raise ValueError(
                '`optim_wrapper.balancer.modality` of SingleModality must be one of the names in '
                f"`model.encoders`, {list(self.modalities)}, got '{self.modality}'."
            )
        others = [index for index, name in enumerate(self.modalities) if name != self.modality]
        return dict.fromkeys(others, torch.zeros_like) if self.active else {}

"""The training that a balancer is attached to, and its clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import Tensor, nn

# By modality, all representations (N_i, C_i) of a data set and the classes (N_i,) of their samples.
Survey = Callable[[str], list[tuple[Tensor, Tensor]]]


@dataclass
class Clock:
    """How far a training is; whoever runs it moves the clock before each pass.

    Attributes:
        iteration: Passes (micro-batches) before this one.
        epoch: Times that the training set has been gone through.
        progress: Fraction of the training that is done, in [0, 1].
    """

    iteration: int = 0
    epoch: int = 0
    progress: float = 0.0

    @property
    def progress_after(self) -> float:
        """The fraction that is done once this pass is; only after the first pass is it known."""
        return self.progress * (self.iteration + 1) / max(self.iteration, 1)


@dataclass
class Training:
    """What a balancer knows of the training that it is attached to.

    Attributes:
        modalities: Their names, in order.
        encoders: The trainable parameters of each modality's encoder, in that order.
        clock: How far the training is.
        process_group: The processes that train together. Default: all, if distributed.
        survey: Function of ``'train'`` or ``'val'`` that runs the encoders on that whole data set, in
            evaluation mode, and returns for each modality its representations ``(N_i, C_i)`` and the classes
            ``(N_i,)`` of the samples that have it, on the CPU; None if there is no validation set.
        training_losses: Function that returns the losses of the guides and, last, of the fused model over the
            whole training set, with the weights as they are, in evaluation mode: ``M + 1`` numbers.
        seed: Of what is random and must be the same in all processes.

    Raises:
        ValueError: If ``encoders`` has no list of parameters for each modality, or two of them share one.
    """

    modalities: Sequence[str]
    encoders: Sequence[Sequence[nn.Parameter]]
    clock: Clock = field(default_factory=Clock)
    process_group: dist.ProcessGroup | None = None
    survey: Survey | None = None
    training_losses: Callable[[], list[float]] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        self.encoders = list(self.encoders)
        flat = any(isinstance(parameters, Tensor) for parameters in self.encoders)
        if flat or len(self.encoders) != len(self.modalities):
            number = len(self.encoders)
            given = f'{number} single parameters' if flat else f'lists for {number} encoders'
            raise ValueError(
                f'A Training needs a list of parameters for each of the {len(self.modalities)} modalities '
                f'{list(self.modalities)}, in their order, but got {given}: '
                '[list(encoder.parameters()) for encoder in encoders].'
            )
        owners: dict[int, str] = {}
        for modality, parameters in zip(self.modalities, self.encoders, strict=True):
            for parameter in parameters:
                other = owners.setdefault(id(parameter), modality)
                if other != modality:
                    raise ValueError(
                        f"The encoders of '{other}' and '{modality}' share parameters, and one can't be "
                        'scaled for two modalities: give each an encoder of its own, or list only the '
                        'parameters that each has for itself.'
                    )

    @property
    def device(self) -> torch.device:
        """Where the encoders are; the CPU if they have nothing to train."""
        return next((p.device for encoder in self.encoders for p in encoder), torch.device('cpu'))

    def generator(self, device: torch.device, draw: int) -> torch.Generator:
        """Return a generator that draws the same in all processes, and anew for each number of a ``draw``."""
        return torch.Generator(device).manual_seed((self.seed + draw) % 2**63)

    def over_processes(self, tensor: Tensor, mean: bool = False) -> Tensor:
        """Return ``tensor`` summed (or averaged) over the processes that train together."""
        return over_processes(tensor, self.process_group, mean)


def over_processes(
    tensor: Tensor, process_group: dist.ProcessGroup | None = None, mean: bool = False
) -> Tensor:
    """Return ``tensor`` summed (or averaged) over the processes of a group, by default all."""
    if not (dist.is_available() and dist.is_initialized()):
        return tensor
    tensor = tensor.contiguous().clone()
    dist.all_reduce(tensor, group=process_group)
    return tensor / dist.get_world_size(process_group) if mean else tensor

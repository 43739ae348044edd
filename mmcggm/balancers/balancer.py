"""The interface of balancing methods: what a method sees of a training, and where it may act."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from .needs import Needs
from .pass_record import Change, Pass
from .scaled_rates import scaled_rates
from .sharding import is_sharded
from .state import Accumulated, Memory, difference, map_values, undone
from .training import Clock, Training


class Balancer:
    """A strategy that balances the modalities of a model during training; this one does nothing.

    **A method** overrides what it needs of :meth:`changes`, :meth:`observe`, :meth:`loss_term`,
    :meth:`change_gradients`, :meth:`rate_factors`, :meth:`end_update`, :meth:`end_epoch` and
    :meth:`see_validation`; it declares its state as :class:`Memory`, :class:`UpdateSum` and
    :class:`UpdateMean`, and in ``needs`` what it asks of a training. One that only scales encoders derives
    from :class:`EncoderScaling` and writes one function.

    **A training** attaches the balancer once. For each pass it asks for :meth:`pass_changes` before it and
    hands it to :meth:`see` after it, before backward; for each update it calls :meth:`finish_update` between
    backward and clipping, and takes the optimizer's step inside :meth:`scaled_rates`.

    Attributes:
        needs: What the method declares.
        active: Whether the method acts. An inactive balancer goes on observing, so that it can be switched on
            in the middle of training.
        stats: What the last step saw, by name: tensors ``(M,)`` with an entry a modality, or scalars. They
            stay on the training device; reading them is what costs a synchronisation.
        events: How often something out of the ordinary was met, by description, likewise.
        memory: The values of what is declared as :class:`Memory`.
        sums: Those of what is declared as :class:`UpdateSum` and :class:`UpdateMean`.
    """

    needs = Needs()

    def __init__(self) -> None:
        self.active = True
        self.stats: dict[str, Tensor] = {}
        self.events: dict[str, Tensor] = {}
        self.memory: dict[str, Any] = {}
        self.sums: dict[str, Accumulated] = {}
        self._training: Training | None = None
        self._saw_a_pass = False

    # What a method overrides.

    def changes(self) -> Mapping[int, Change]:
        """Return what is done to representations in the next pass, by index of the modality, while active.

        A query: asking changes nothing.
        """
        return {}

    def observe(self, seen: Pass) -> None:
        """See a pass, active or not."""

    def loss_term(self, seen: Pass) -> Tensor | None:
        """Return a term to add to the loss of a pass that was observed, or None, while active."""

    def change_gradients(self) -> None:
        """Change the encoders' accumulated gradients in place, once for each update, while active."""

    def rate_factors(self) -> Sequence[float] | Tensor | None:
        """Return factors ``(M,)`` on the encoders' learning rates for this update, or None, while active."""

    def end_update(self) -> None:
        """Remember what the update showed, active or not."""

    def end_epoch(self) -> None:
        """Act at the end of an epoch, active or not, for example on the encoders' parameters."""

    def see_validation(self, scores: Sequence[float], losses: Sequence[float] | None = None) -> None:
        """See what was reached on the validation set.

        Args:
            scores: The ``M`` scores of the guides; one without samples is NaN.
            losses: The ``M`` losses of the guides and, last, the fused model's, if they are measured.
        """

    # What a method asks.

    @property
    def name(self) -> str:
        """The method's name, for messages and checkpoints."""
        return type(self).__name__

    @property
    def training(self) -> Training:
        """The training that the balancer is attached to."""
        if self._training is None:
            raise RuntimeError(
                f'{self.name} is not attached to a training: call '
                '`balancer.attach(Training(modalities, encoders))` first.'
            )
        return self._training

    @property
    def modalities(self) -> Sequence[str]:
        """Their names, in order."""
        return self.training.modalities

    @property
    def encoders(self) -> Sequence[Sequence[nn.Parameter]]:
        """The trainable parameters of each modality's encoder."""
        return self.training.encoders

    @property
    def clock(self) -> Clock:
        """How far the training is."""
        return self.training.clock

    def count_event(self, description: str, happened: Tensor) -> None:
        """Count an event where the scalar ``happened`` is true, without reading it."""
        self.events[description] = self.events.get(description, 0) + happened.detach().long()

    # What a training calls.

    def attach(self, training: Training) -> None:
        """Begin to balance a training, or to go on with one.

        Raises:
            ValueError: If the method needs whole parameters, and encoders are sharded.
        """
        if self.needs.whole_encoders and any(is_sharded(p) for encoder in training.encoders for p in encoder):
            raise ValueError(
                f'{self.name} needs whole parameters, but the encoders are sharded: train with '
                '`model_wrapper_cfg` (DDP) or on one device instead of `strategy` (FSDP).'
            )
        self._training = training
        self._move_memory()

    def pass_changes(self) -> Mapping[int, Change]:
        """Return what is to be done to representations in the next pass, by index of the modality."""
        return self.changes() if self.active else {}

    def see(self, seen: Pass) -> Tensor | None:
        """Observe a pass; return a term to add to its loss before backward, or None.

        Raises:
            ValueError: If the method changes representations, now or later, and one reaches nothing.
        """
        if 'representations' in self.needs.acts_on:
            seen.check_changeable()
        self._saw_a_pass = True
        self.observe(seen)
        return self.loss_term(seen) if self.active else None

    def finish_update(self, overflow: Tensor | None = None) -> None:
        """Change the gradients, and remember what the update showed.

        Args:
            overflow: A scalar above zero where loss scaling found the gradients not finite, so that this
                update will be skipped and must leave no trace in the state.

        Raises:
            RuntimeError: If no pass was seen in this update.
        """
        if not self._saw_a_pass:
            raise RuntimeError(
                f'{self.name}.finish_update was called without `see` before it in this update.'
            )
        before = dict(self.memory)
        if self.active:
            self.change_gradients()
        self.end_update()
        if overflow is not None:
            for name, new in self.memory.items():
                old = before[name] if name in before else self._declared()[name].first(self)
                if new is not old:
                    self.memory[name] = undone(new, old, overflow)
        for total in self.sums.values():
            total.clear()
        self._saw_a_pass = False

    @contextmanager
    def scaled_rates(self, optimizer: Optimizer) -> Iterator[None]:
        """Scale the encoders' learning rates for ``optimizer.step()`` inside this context.

        Where a method has :meth:`rate_factors`, the optimizer's groups say by ``modality``, an index, which
        encoder is theirs. Factors are read on the host.

        Raises:
            ValueError: If no group of the optimizer has a ``modality``.
        """
        factors = self.rate_factors() if self.active else None
        if factors is None:
            yield
            return
        factors = factors.tolist() if isinstance(factors, Tensor) else factors
        with scaled_rates(optimizer, factors, self.name):
            yield

    def state_dict(self) -> dict[str, Any]:
        """Return the state that a resumed training needs: what was remembered so far, by name."""
        return dict(self.memory)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned.

        Raises:
            ValueError: If it holds what this method does not remember.
        """
        unknown = sorted(set(state_dict) - set(self._declared()))
        if unknown:
            raise ValueError(
                f'The state is not one of {type(self).__name__}: it holds {unknown}, but the method '
                f'remembers {sorted(self._declared())}.'
            )
        self.memory = dict(state_dict)
        for total in self.sums.values():
            total.clear()
        self._saw_a_pass = False
        if self._training is not None:
            self._move_memory()

    def unfinished_update(self) -> dict[str, Any]:
        """Return what this process has summed up of an update whose micro-batches are not yet all there."""
        return dict(sums={name: total.state() for name, total in self.sums.items()}, stats=dict(self.stats))

    def go_on_with_update(self, unfinished: dict[str, Any]) -> None:
        """Go on with what :meth:`unfinished_update` returned, once the balancer is attached."""
        for name, state in unfinished['sums'].items():
            getattr(self, name).go_on_from(state)
        self.stats = dict(unfinished['stats'])
        self._saw_a_pass = True

    def _move_memory(self) -> None:
        device = self.training.device
        self.memory = {n: map_values(lambda x: x.to(device), value) for n, value in self.memory.items()}
        first = {name: memory.first(self) for name, memory in self._declared().items()}
        if wrong := difference(first, self.memory, f'balancer.{self.name}'):
            raise ValueError(
                f'{wrong} in the state that was loaded is not of the kind that {self.name} has in this '
                f'training of {len(self.training.modalities)} modalities. Take a checkpoint of this training.'
            )

    @classmethod
    def _declared(cls) -> dict[str, Memory]:
        """Return what the method declares to remember, by name."""
        return {n: m for kind in cls.__mro__ for n, m in vars(kind).items() if isinstance(m, Memory)}


class EncoderScaling(Balancer):
    """A method that only scales the encoders' gradients: it writes :meth:`factors`, nothing else."""

    needs = Needs(frozenset({'gradients'}), frozenset({'gradients'}))

    def factors(self, seen: Pass) -> Tensor:
        """Return the factors ``(M,)`` of an update from a pass; of several micro-batches the last one's hold.

        What must be of all micro-batches and processes is summed up in an :class:`UpdateSum`.
        """
        raise NotImplementedError

    def observe(self, seen: Pass) -> None:
        self._factors = self.factors(seen)

    def change_gradients(self) -> None:
        scale_gradients(self.encoders, self._factors)


def scale_gradients(encoders: Sequence[Sequence[nn.Parameter]], factors: Tensor) -> None:
    """Multiply each encoder's gradients by its entry of ``factors`` ``(M,)``, in place."""
    for parameters, factor in zip(encoders, factors.unbind(), strict=True):
        grads = [p.grad for p in parameters if p.grad is not None]
        if grads:
            torch._foreach_mul_(grads, factor.to(grads[0].device))

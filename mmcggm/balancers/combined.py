"""Several balancing methods at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import combinations
from typing import Any

from torch import Tensor

from mmcggm.registry import BALANCERS

from .balancer import Balancer
from .needs import Needs
from .pass_record import Change, Pass, SampleChange, change_of
from .training import Training


class Combined(Balancer):
    """Methods that act together, in this order: terms are added, gradients changed one after the other.

    Args:
        methods: At least two.

    Raises:
        ValueError: If one changes what another must be the only one to change, by their ``needs``.

    Example:
        >>> Combined([OGM(), MultiLoss()])  # in a config: balancer=[dict(type='OGM'), dict(type='MultiLoss')]
    """

    def __init__(self, methods: Sequence[Balancer]) -> None:
        if len(methods) < 2:
            raise ValueError(f'Several methods are needed to be combined, got {len(methods)}.')
        for first, second in combinations(methods, 2):
            clash = first.needs.alone_on & second.needs.acts_on or second.needs.alone_on & first.needs.acts_on
            if clash:
                raise ValueError(
                    f'{first.name} and {second.name} can not be combined: both change the '
                    f'{" and the ".join(sorted(clash))}. Choose one of them.'
                )
        self.methods = list(methods)
        super().__init__()
        self.needs = reduce(_joined, (method.needs for method in methods))

    @property
    def name(self) -> str:
        return ' and '.join(method.name for method in self.methods)

    @property
    def active(self) -> bool:
        """Whether the methods act."""
        return all(method.active for method in self.methods)

    @active.setter
    def active(self, value: bool) -> None:
        for method in self.methods:
            method.active = value

    @property
    def stats(self) -> dict[str, Tensor]:
        """What the last step saw; names that several methods use begin with the method's."""
        names = [name for method in self.methods for name in method.stats]
        return {
            name if names.count(name) == 1 else f'{method.name}_{name}': value
            for method in self.methods
            for name, value in method.stats.items()
        }

    @stats.setter
    def stats(self, value: dict[str, Tensor]) -> None:
        """Methods have their own."""

    @property
    def events(self) -> dict[str, Tensor]:
        """What was out of the ordinary for the training, and for a method, with its name before it."""
        return self._own_events | {
            f'{method.name}: {event}': count
            for method in self.methods
            for event, count in method.events.items()
        }

    @events.setter
    def events(self, value: dict[str, Tensor]) -> None:
        self._own_events = value

    def count_event(self, description: str, happened: Tensor) -> None:
        counted = self._own_events.get(description, 0)
        self._own_events[description] = counted + happened.detach().long()

    def attach(self, training: Training) -> None:
        for method in self.methods:
            method.attach(training)
        super().attach(training)

    def pass_changes(self) -> Mapping[int, Change]:
        # At most one method changes representations alone; more than one that shares them follow each other.
        changes: dict[int, Change] = {}
        for method in self.methods:
            for index, change in method.pass_changes().items():
                changes[index] = change if index not in changes else _one_after(changes[index], change)
        return changes

    def see(self, seen: Pass) -> Tensor | None:
        terms = [term for term in [method.see(seen) for method in self.methods] if term is not None]
        return sum(terms[1:], terms[0]) if terms else None

    def finish_update(self, overflow: Tensor | None = None) -> None:
        for method in self.methods:
            method.finish_update(overflow)

    def rate_factors(self) -> Sequence[float] | Tensor | None:
        factors = [method.rate_factors() for method in self.methods]
        return next((own for own in factors if own is not None), None)  # one alone may change rates

    def end_epoch(self) -> None:
        for method in self.methods:
            method.end_epoch()

    def see_validation(self, scores: Sequence[float], losses: Sequence[float] | None = None) -> None:
        for method in self.methods:
            method.see_validation(scores, losses)

    def state_dict(self) -> dict[str, Any]:
        return {f'{i}.{method.name}': method.state_dict() for i, method in enumerate(self.methods)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        expected = [f'{i}.{method.name}' for i, method in enumerate(self.methods)]
        if list(state_dict) != expected:
            raise ValueError(f'The state is one of {list(state_dict)}, but the methods are {expected}.')
        for method, state in zip(self.methods, state_dict.values(), strict=True):
            method.load_state_dict(state)

    def unfinished_update(self) -> dict[str, Any]:
        return {str(i): method.unfinished_update() for i, method in enumerate(self.methods)}

    def go_on_with_update(self, unfinished: dict[str, Any]) -> None:
        for method, state in zip(self.methods, unfinished.values(), strict=True):
            method.go_on_with_update(state)


def build_balancer(config: Balancer | dict | str | Sequence[dict | str], key: str) -> Balancer:
    """Build a balancer from its config, or several from a list of configs.

    Args:
        config: Of a balancer, or its type alone, or a list of them; a balancer stays as it is.
        key: Where the config stands in the user's, for errors.

    Raises:
        ValueError: If a type or an argument is unknown, or the methods can't be combined.
    """
    if isinstance(config, Balancer):
        return config
    if isinstance(config, (list, tuple)):
        built = [build_balancer(c, f'{key}[{i}]') for i, c in enumerate(config)]
        return built[0] if len(built) == 1 else Combined(built)
    return BALANCERS.build(config, key=key, kind=Balancer)


def _one_after(first: Change, second: Change) -> Change:
    return SampleChange(lambda x, present: change_of(second, change_of(first, x, present), present))


def _joined(first: Needs, second: Needs) -> Needs:
    validations = (first.validation, second.validation)
    return Needs(
        acts_on=first.acts_on | second.acts_on,
        alone_on=first.alone_on | second.alone_on,
        validation='losses' if 'losses' in validations else first.validation or second.validation,
        rates=first.rates or second.rates,
        epochs=first.epochs or second.epochs,
        survey=first.survey or second.survey,
        whole_encoders=first.whole_encoders or second.whole_encoders,
        second_derivatives=first.second_derivatives or second.second_derivatives,
        reruns=first.reruns or second.reruns,
        teachers=first.teachers or second.teachers,
    )

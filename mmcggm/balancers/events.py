"""What was out of the ordinary in a training, told as it comes."""

from __future__ import annotations

from collections.abc import Mapping


class NewEvents:
    """Tells how often each event of a balancer happened since it was asked last."""

    def __init__(self) -> None:
        self._told: dict[str, int] = {}

    def since(self, counts: Mapping[str, int], when: str) -> list[str]:
        """Return a sentence on each event that happened more often than it did when it was last asked for.

        Args:
            counts: How often each happened in all, by description, see ``Balancer.events``.
            when: The last time, for the sentences.
        """
        new = {event: count - self._told.get(event, 0) for event, count in counts.items()}
        self._told = dict(counts)
        return [f'Balancing, since {when}: {event}, {count} times' for event, count in new.items() if count]

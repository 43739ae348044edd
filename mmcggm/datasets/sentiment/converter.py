"""From a published pickle of multimodal sentiment features to HDF5."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from .pickle_file import SentimentSplit, parse_split, read_pickle
from .store import SUFFIXES, write_store


def convert_pickle(
    source: str | Path, target: str | Path, keys: Mapping[str, str] | None = None
) -> dict[str, int]:
    """Convert a pickle, without running code; ``target`` is written whole or not at all.

    Args:
        source: The pickle, see :func:`mmcggm.datasets.sentiment.pickle_file.parse_split`.
        target: The ``.h5`` file; replaced if it exists.
        keys: What the pickle calls each modality, and the ``labels``. Default: text, audio and vision, and
            the labels that there are.

    Returns:
        The number of samples by split.

    Raises:
        FileNotFoundError: If there is no ``source``.
        UnsafePickleError: If ``source`` would run code.
        ValueError: If ``source`` is damaged or holds something else, or ``target`` has another suffix.
    """
    source, target = Path(source), Path(target)
    if target.suffix not in SUFFIXES:
        raise ValueError(
            f"'{target}' must end in one of {list(SUFFIXES)}, by which it is told from a pickle."
        )
    splits = read_pickle(source)
    target.parent.mkdir(parents=True, exist_ok=True)

    def parsed() -> Iterator[tuple[str, SentimentSplit]]:
        for name in list(splits):
            raw = splits.pop(name)  # and free its memory afterwards
            yield name, parse_split(raw, f"{source}, split '{name}'", keys)

    return write_store(target, parsed())

"""What happens to files: bits flip, copies end too early, blocks get lost, headers lie."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

HEADER = 512  # bytes at either end, where formats say what they hold
NUMBERS = (
    0,
    1,
    2,
    3,
    7,
    8,
    16,
    255,
    2**15,
    2**16 - 1,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**40,
    2**63 - 1,
    2**63,
    2**64 - 1,
)

Mutation = Callable[[bytearray, np.random.Generator], bytearray]


def flip_bit(content: bytearray, rng: np.random.Generator) -> bytearray:
    content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
    return content


def flip_header_bit(content: bytearray, rng: np.random.Generator) -> bytearray:
    content[_header_place(content, rng)] ^= 1 << int(rng.integers(8))
    return content


def flip_bits(content: bytearray, rng: np.random.Generator) -> bytearray:
    for _ in range(int(rng.integers(2, 20))):
        flip_bit(content, rng)
    return content


def set_header_field(content: bytearray, rng: np.random.Generator) -> bytearray:
    """Write a number that is small, huge or negative over 1, 2, 4 or 8 bytes, in either order."""
    width, order = int(rng.choice((1, 2, 4, 8))), ('little', 'big')[int(rng.integers(2))]
    number = NUMBERS[int(rng.integers(len(NUMBERS)))] % 256**width
    place = min(_header_place(content, rng), max(len(content) - width, 0))
    content[place : place + width] = number.to_bytes(width, order)[: len(content) - place]
    return content


def truncate(content: bytearray, rng: np.random.Generator) -> bytearray:
    return content[: int(rng.integers(len(content)))]


def truncate_a_little(content: bytearray, rng: np.random.Generator) -> bytearray:
    return content[: -int(rng.integers(1, min(len(content), 64) + 1))]


def append(content: bytearray, rng: np.random.Generator) -> bytearray:
    return content + rng.bytes(int(rng.integers(1, 200)))


def zero_block(content: bytearray, rng: np.random.Generator) -> bytearray:
    start, stop = _block(content, rng)
    content[start:stop] = bytes(stop - start)
    return content


def overwrite_block(content: bytearray, rng: np.random.Generator) -> bytearray:
    start, stop = _block(content, rng)
    content[start:stop] = rng.bytes(stop - start)
    return content


def duplicate_block(content: bytearray, rng: np.random.Generator) -> bytearray:
    start, stop = _block(content, rng)
    return content[:stop] + content[start:]


def delete_block(content: bytearray, rng: np.random.Generator) -> bytearray:
    start, stop = _block(content, rng)
    return content[:start] + content[stop:]


def splice(content: bytearray, rng: np.random.Generator) -> bytearray:
    """Copy a block over another place."""
    start, stop = _block(content, rng)
    place = int(rng.integers(len(content) - (stop - start) + 1))
    content[place : place + stop - start] = content[start:stop]
    return content


MUTATIONS: tuple[Mutation, ...] = (
    flip_bit,
    flip_header_bit,
    flip_bits,
    set_header_field,
    truncate,
    truncate_a_little,
    append,
    zero_block,
    overwrite_block,
    duplicate_block,
    delete_block,
    splice,
)


def mutate(content: bytes, seed: int) -> tuple[str, bytes]:
    """Return the name of a mutation and what it makes of a file's bytes, which is never the same.

    Args:
        content: The file's bytes, not empty.
        seed: Mutations take turns; each is drawn anew.
    """
    rng, mutation = np.random.default_rng(seed), MUTATIONS[seed % len(MUTATIONS)]
    for _ in range(100):
        mutated = bytes(mutation(bytearray(content), rng))
        if mutated != content:
            return mutation.__name__, mutated
    return flip_bit.__name__, bytes(flip_bit(bytearray(content), rng))


def _header_place(content: bytearray, rng: np.random.Generator) -> int:
    place = int(rng.integers(min(HEADER, len(content))))
    return place if rng.integers(2) else len(content) - 1 - place


def _block(content: bytearray, rng: np.random.Generator) -> tuple[int, int]:
    length = int(rng.integers(1, min(len(content), 4096) + 1))
    start = int(rng.integers(len(content) - length + 1))
    return start, start + length

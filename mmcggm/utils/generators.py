"""The generators of random numbers that a process shares: Python's, NumPy's and PyTorch's."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

# Data sets and transforms of MMEngine and mmcv draw from NumPy's global state.
# ruff: noqa: NPY002


def generator_states() -> dict[str, Any]:
    """Return the states of all generators, that of this process's accelerator among them.

    They are numbers, tensors and lists, which a checkpoint holds as data.
    """
    version, words, gauss = random.getstate()
    kind, key, position, has_gauss, cached = np.random.get_state()
    states: dict[str, Any] = {
        'python': [version, list(words), gauss],
        'numpy': [str(kind), torch.from_numpy(key.astype(np.int64)), position, has_gauss, cached],
        'torch': torch.get_rng_state(),
    }
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if device is not None:
        states[device.type] = torch.get_device_module(device).get_rng_state()
    return states


def restore_generators(states: dict[str, Any]) -> None:
    """Restore what :func:`generator_states` returned; an accelerator that is not there is left out."""
    version, words, gauss = states['python']
    random.setstate((version, tuple(words), gauss))
    kind, key, *rest = states['numpy']
    np.random.set_state((kind, key.cpu().numpy().astype(np.uint32), *rest))
    torch.set_rng_state(states['torch'].cpu())
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if device is not None and device.type in states:
        torch.get_device_module(device).set_rng_state(states[device.type].cpu())


@contextmanager
def kept_generators() -> Iterator[None]:
    """Draw inside the block what would be drawn after it; all generators go on as if nothing had been."""
    states = generator_states()
    try:
        yield
    finally:
        restore_generators(states)


@contextmanager
def other_generators() -> Iterator[None]:
    """Draw from other generators of the CPU inside the block; those of before go on after it.

    Made for each batch, so it takes some microseconds: NumPy's generator is put aside rather than copied,
    which a half of a pair of normal numbers, if one is kept, does not survive.
    """
    python, pytorch, numpy = random.getstate(), torch.get_rng_state(), np.random.get_bit_generator()
    np.random.set_bit_generator(_ASIDE)
    try:
        yield
    finally:
        random.setstate(python)
        torch.set_rng_state(pytorch)
        np.random.set_bit_generator(numpy)


_ASIDE = np.random.MT19937()


def seed_generators(*key: int) -> None:
    """Seed the CPU's generators with numbers of up to 64 bits; each key has a seed of its own.

    An accelerator's is left as it is.
    """
    seed = seed_of(*key)
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)
    torch.default_generator.manual_seed(seed)


def seed_of(*key: int) -> int:
    """Return a seed of 64 bits for numbers of up to 64 bits; each key has one of its own."""
    seed = 0
    for number in key:
        seed = _mixed(seed ^ (number & _WORD))
    return seed


_WORD = 2**64 - 1


def _mixed(x: int) -> int:
    """Return the 64 bits that SplitMix64 (Steele et al., OOPSLA 2014) makes of ``x``."""
    x = (x + 0x9E3779B97F4A7C15) & _WORD
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _WORD
    return x ^ (x >> 31)

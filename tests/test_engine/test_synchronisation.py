"""A training step that is balanced makes the host wait for the device no more often than one that is not."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from tests.segmentors import slices, small_unet
from tests.tiny import TinyData, build_wrapper, tiny_guided

aten = torch.ops.aten
WAITING = {
    aten._local_scalar_dense,  # item(), float(), if
    aten.is_nonzero,
    aten.equal,
    aten.nonzero,
    aten.masked_select,
    aten.bincount,
    aten._unique2,
    aten.lift_fresh,  # torch.tensor(), new_tensor(): the host's data is copied to the device
}
READING = {torch.Tensor.tolist, torch.Tensor.cpu, torch.Tensor.numpy}  # no operations on a CPU
MODALITIES = ('flair', 't1', 't2')


class Operations(TorchDispatchMode):
    def __init__(self, counts: Counter) -> None:
        super().__init__()
        self.counts = counts

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        masked = func.overloadpacket in (aten.index, aten.index_put, aten.index_put_) and any(
            index is not None and index.dtype == torch.bool for index in args[1]
        )
        if masked or func.overloadpacket in WAITING:
            self.counts[str(func)] += 1
        return func(*args, **(kwargs or {}))


class Reads(TorchFunctionMode):
    def __init__(self, counts: Counter) -> None:
        super().__init__()
        self.counts = counts

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in READING:
            self.counts[func.__name__] += 1
        return func(*args, **(kwargs or {}))


@contextmanager
def counting() -> Iterator[Counter]:
    """Count what makes the host wait, where the tensors are on an accelerator, by name."""
    counts = Counter()
    with Reads(counts), Operations(counts):
        yield counts


def tiny():
    data = TinyData(16)
    return tiny_guided(), dict(left=data.left, right=data.right, label=data.label)


def unet():
    inputs, samples = slices(MODALITIES)
    return small_unet(MODALITIES), dict(inputs=inputs, data_samples=samples)


def synchronisations(make, **overrides) -> Counter:
    """Count in the second step, when every state exists."""
    model, data = make()
    wrapper = build_wrapper(model, **overrides)
    model.train_step(data, wrapper)
    with counting() as counts:
        model.train_step(data, wrapper)
    return counts


@pytest.mark.parametrize(
    'act',
    [
        lambda x: x.sum().item(),
        lambda x: bool(x.any()),
        lambda x: x.tolist(),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: x.new_tensor(2.0),
    ],
    ids=['item', 'if', 'tolist', 'mask', 'nonzero', 'new_tensor'],
)
def test_counter_sees_them(act):
    x = torch.arange(3.0)
    with counting() as counts:
        x * 2 + x.new_full((), 2.0)
    assert not counts
    with counting() as counts:
        act(x)
    assert counts.total() == 1


@pytest.mark.parametrize(
    'options',
    [{}, dict(progress='SmoothedProgress'), dict(direction='weight'), dict(bounds=(0, 1)), dict(interval=2)],
    ids=str,
)
@pytest.mark.parametrize(
    'wrapper', [{}, dict(clip_grad=dict(max_norm=1.0)), dict(accumulative_counts=2)], ids=str
)
def test_balancing_adds_none(options, wrapper):
    balanced = synchronisations(tiny, balancer=dict(type='CGGM', **options), **wrapper)
    assert balanced - synchronisations(tiny, balancer=None, **wrapper) == Counter()


def test_balancing_a_unet_adds_none():
    balanced = synchronisations(unet, balancer=dict(type='CGGM'))
    assert balanced - synchronisations(unet, balancer=None) == Counter()


def test_scaling_updates_adds_one():
    balanced = synchronisations(tiny, balancer=dict(type='CGGM', magnitude='update'))
    assert balanced - synchronisations(tiny, balancer=None) == Counter(tolist=1)

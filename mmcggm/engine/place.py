"""Where a training stands: what a checkpoint holds beside weights and optimizer, to go on the same."""

from __future__ import annotations

from typing import Any

import torch
from mmengine.dist import all_gather_object, get_dist_info
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import Tensor

from mmcggm.balancers.sharding import local_part
from mmcggm.utils.generators import generator_states, restore_generators

from .optim_wrapper import BalancingMixin
from .resumable_data import SeededDataset, placed_sampler


def take_place(runner: Runner, validated: bool) -> dict[str, Any]:
    """Return where the training stands; all processes must ask for it together.

    Args:
        runner: That of the training.
        validated: Whether a validation that is due here has been done.

    Returns:
        Numbers, lists and tensors, which are loaded as data: ``validated``; ``inside``, the batches of the
        epoch that were trained, None if the loop doesn't tell; ``batches``, those of a pass through the
        training set, None if it has no length; and for each process in ``processes`` the seeds of its data,
        the states of its generators, and an update whose micro-batches are not yet all there.
    """
    loader = runner.train_loop.dataloader
    sampler = placed_sampler(loader)
    own = dict(
        seed=getattr(loader.dataset, 'seed', None) if isinstance(loader.dataset, SeededDataset) else None,
        sampler_seed=None if sampler is None else getattr(sampler, 'seed', None),
        generators=generator_states(),
        unfinished=_unfinished_update(runner.optim_wrapper),
    )
    return dict(
        validated=validated,
        inside=getattr(runner.train_loop, 'inside', None),
        batches=pass_length(runner),
        processes=all_gather_object(own),
    )


def pass_length(runner: Runner) -> int | None:
    """Return the batches of a pass through the training set, None if it has no length."""
    try:
        return len(runner.train_loop.dataloader)
    except TypeError:
        return None


def restore_seeds(runner: Runner, place: dict[str, Any]) -> None:
    """Let the data be shuffled and drawn as in the training that was interrupted."""
    loader, own = runner.train_loop.dataloader, _own(place)
    sampler = placed_sampler(loader)
    if isinstance(loader.dataset, SeededDataset) and own['seed'] is not None:
        loader.dataset.seed = own['seed']
    if sampler is not None and own['sampler_seed'] is not None:
        sampler.inner.seed = own['sampler_seed']


def restore_process(runner: Runner, place: dict[str, Any]) -> None:
    """Restore what each process has of its own: generators and an unfinished update."""
    if len(place['processes']) != get_dist_info()[1]:
        return
    own = _own(place)
    if own['unfinished'] is not None:
        _restore_update(runner.optim_wrapper, own['unfinished'])
    restore_generators(own['generators'])


def _own(place: dict[str, Any]) -> dict[str, Any]:
    rank, processes = get_dist_info()
    return place['processes'][rank if len(place['processes']) == processes else 0]


def _unfinished_update(wrapper: Any) -> dict[str, Any] | None:
    if not isinstance(wrapper, OptimWrapper) or wrapper.should_update():
        return None
    balancer = wrapper.balancer if isinstance(wrapper, BalancingMixin) else None
    grads = [None if p.grad is None else local_part(p.grad).cpu() for p in _parameters(wrapper)]
    return dict(grads=grads, sums=None if balancer is None else balancer.unfinished_update())


def _restore_update(wrapper: OptimWrapper, unfinished: dict[str, Any]) -> None:
    for parameter, grad in zip(_parameters(wrapper), unfinished['grads'], strict=True):
        if grad is not None:
            parameter.grad = torch.zeros_like(parameter)
            local_part(parameter.grad).copy_(grad)
    if isinstance(wrapper, BalancingMixin) and wrapper.balancer is not None:
        wrapper.balancer.go_on_with_update(unfinished['sums'])


def _parameters(wrapper: OptimWrapper) -> list[Tensor]:
    optimizers = wrapper.optimizers if isinstance(wrapper, BalancingMixin) else [wrapper.optimizer]
    return [p for optimizer in optimizers for group in optimizer.param_groups for p in group['params']]

"""Two processes on half batches equal one process on the whole batches."""

from datetime import timedelta
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from mmengine.dataset import default_collate
from mmengine.model import MMDistributedDataParallel

from tests.processes import run_processes
from tests.streams import Streams, streams_batch, streams_guided
from tests.tiny import TinyData, build_wrapper, tiny_guided

STEPS, BATCH = 20, 16


def train(rank: int, world: int, folder: Path, settings: dict) -> dict:
    """Train on this rank's share of each batch and return the model and what was balanced."""
    guided = tiny_guided()
    wrapper = build_wrapper(guided, **settings)
    model = guided
    if world > 1:
        dist.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=world)
        model = MMDistributedDataParallel(guided, device_ids=None)
    data, share = TinyData(STEPS * BATCH), BATCH // world
    history = []
    for step in range(STEPS):
        start = step * BATCH + rank * share
        model.train_step(default_collate([data[i] for i in range(start, start + share)]), wrapper)
        history.append({name: value.clone() for name, value in wrapper.balancer.stats.items()})
    return dict(model=guided.state_dict(), history=history)


def worker(rank: int, world: int, folder: Path, settings: dict) -> None:
    torch.set_num_threads(1)
    torch.save(train(rank, world, folder, settings), folder / f'rank{rank}.pt')


@pytest.mark.parametrize(
    'settings',
    [
        dict(optimizer=dict(type='SGD', lr=0.1), balancer=dict(type='CGGM', rho=1.3, lam=0.2)),
        dict(balancer=dict(type='CGGM', progress='SmoothedProgress'), accumulative_counts=2),
    ],
    ids=['step', 'smoothed-accumulated'],
)
def test_two_processes_equal_one(tmp_path, settings):
    expected = train(0, 1, tmp_path, settings)
    run_processes(worker, 2, tmp_path, settings)
    ranks = [torch.load(tmp_path / f'rank{rank}.pt') for rank in range(2)]
    for found in ranks:
        for name, value in expected['model'].items():
            torch.testing.assert_close(found['model'][name], value, rtol=1e-5, atol=1e-5, msg=name)
        for mine, theirs in zip(found['history'], expected['history'], strict=True):
            for name in ('B', 'score', 'cos', 'L_gm'):
                torch.testing.assert_close(mine[name], theirs[name], rtol=1e-4, atol=1e-5)
    for name, value in ranks[0]['model'].items():
        assert torch.equal(value, ranks[1]['model'][name])


def uneven_worker(rank: int, world: int, folder: Path) -> None:
    """Train three steps: the second without a modality on rank 1, the third on none, with fewer samples."""
    torch.set_num_threads(1)
    store = f'file://{folder}/store'
    # One that waits for the other in vain fails; by default that takes half an hour.
    patience = timedelta(minutes=5)
    dist.init_process_group('gloo', init_method=store, rank=rank, world_size=world, timeout=patience)
    torch.manual_seed(0)
    guided = streams_guided(Streams(modalities=3))
    wrapper = build_wrapper(guided)
    model = MMDistributedDataParallel(guided, device_ids=None, find_unused_parameters=True)
    torch.manual_seed(rank)
    history = []
    for step in range(3):
        batch = streams_batch(modalities=3, size=2 if step == 2 and rank else 6)
        if step == 2 or (step == 1 and rank):
            del batch['x1']
        model.train_step(batch, wrapper)
        history.append(wrapper.balancer.stats['B'].tolist())
    torch.save(dict(model=guided.state_dict(), history=history), folder / f'rank{rank}.pt')


def test_a_rank_without_a_modality_and_an_unequal_batch_hold_up_no_one(tmp_path):
    run_processes(uneven_worker, 2, tmp_path)
    first, second = (torch.load(tmp_path / f'rank{rank}.pt') for rank in range(2))
    assert first['history'] == second['history'] and len(first['history']) == 3
    for name, value in first['model'].items():
        assert value.isfinite().all() and torch.equal(value, second['model'][name])

"""What every balancing method keeps, whatever it does: each contract runs every registered method.

The methods, their settings and what they may do otherwise, with the reason, are in ``CASES``
(:mod:`tests.contracts`). A new method is here without an edit, with its defaults; one that can't do with them
needs a line there.
"""

from __future__ import annotations

import traceback
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from mmcggm.balancers import Balancer, build_balancer
from tests.contracts import (
    CASES,
    EPOCH,
    MIDDLE,
    SCALE,
    STEPS,
    Case,
    PlainTraining,
    batches,
    flat,
    forget,
    joint_training,
    loop_state,
    registered,
    run_loop,
    scaled_training,
    seeded,
    whole_run,
    whole_training,
)
from tests.processes import run_processes

each_case = pytest.mark.parametrize('name', CASES)


@pytest.fixture(scope='module')
def shared(tmp_path_factory) -> Path:
    """Return the folder of the trainings that several tests compare with."""
    yield tmp_path_factory.mktemp('shared')
    forget()


def cases_but(exemption: str) -> pytest.MarkDecorator:
    """Run a test for each case that is not exempt from it, by a reason in its line of the table."""
    return pytest.mark.parametrize('name', [n for n, of in CASES.items() if not getattr(of, exemption)])


def assert_equal(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Assert that two states, flat, are the same to the last bit."""
    assert found.keys() == expected.keys()
    different = [n for n, value in expected.items() if not same(found[n], value)]
    assert not different


def same(found: Any, expected: Any) -> bool:
    if isinstance(expected, Tensor):
        return isinstance(found, Tensor) and torch.equal(found, expected)
    return type(found) is type(expected) and found == expected


def assert_close(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float = 1e-6) -> None:
    """Assert that weights in float64, of trainings that move them by about 0.1, are the same to rounding.

    Methods may find what they remember in float32.
    """
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(
            found[name], value, rtol=0, atol=tolerance, msg=lambda m, n=name: f'{n}: {m}'
        )


def finite(values: dict[str, Any]) -> bool:
    return all(value.isfinite().all() for value in values.values() if isinstance(value, Tensor))


@pytest.mark.parametrize('name', registered())
def test_every_registered_method_has_a_case(name):
    """A method that can't be built with its defaults needs a line in the table, and so do its variants."""
    configs = [of.config(3) for of in CASES.values() if isinstance(of.settings, dict)]
    mine = [config for config in configs if config['type'] == name]
    assert mine
    for config in mine:
        try:
            balancer = build_balancer(config, 'balancer')
        except Exception as error:
            pytest.fail(f'{name} needs a line in TABLE of tests/contracts.py: {error}')
        assert isinstance(balancer, Balancer)


# A method does something, and hears what it says it needs to hear.


@each_case
def test_acts(name, shared):
    found, joint = whole_training(name, shared).state(), joint_training(shared, noisy=False).state()
    assert any(not torch.equal(found[n], x) for n, x in joint.items() if n.startswith('model.'))


@each_case
def test_hears_of_what_it_needs_and_nothing_else(name, shared, tmp_path):
    """Of two trainings that differ in whether the method is told, one goes another way, if it asks."""
    needs = whole_training(name, shared).balancer.needs
    asked = {'tells_epochs': needs.epochs, 'tells_validations': bool(needs.validation)}
    asks = [[told] for told, needed in asked.items() if needed]
    for kept_back in asks or [asked]:
        deaf = PlainTraining(CASES[name], tmp_path)
        for told in kept_back:
            setattr(deaf, told, False)
        found = deaf.run(batches(3)).state()
        others = [n for n, x in whole_training(name, shared).state().items() if not torch.equal(x, found[n])]
        assert bool(others) == bool(asks), kept_back


# 1. Any number of modalities.


@each_case
@pytest.mark.parametrize('modalities', [2, 3, 6])
def test_trains_with_any_number_of_modalities(name, modalities, shared, tmp_path):
    if modalities == 3:
        training = whole_training(name, shared)
    else:
        training = PlainTraining(CASES[name], tmp_path, modalities).run(batches(modalities))
    assert torch.stack(training.losses).isfinite().all() and finite(training.state())
    assert finite(training.balancer.stats) and finite(training.memory())
    moved = [n for n, value in training.state().items() if not torch.equal(value, training.start[n])]
    assert moved == list(training.start)


# 2. Accumulation.


@cases_but('not_accumulated')
def test_micro_batches_add_up_to_the_batch(name, shared, tmp_path):
    data = batches(3)
    parts = PlainTraining(CASES[name], tmp_path, accumulative_counts=2)
    for at, batch in enumerate(data):
        halves = [{n: x.chunk(2)[half] for n, x in batch.items()} for half in (0, 1)]
        for half in halves:
            parts.step(half, at, seed=100 + at)
        if (at + 1) % EPOCH == 0:
            parts.end_epoch(at // EPOCH)
    assert_close(parts.state(), whole_training(name, shared).state())


# 3. and 10. MMEngine's runner: resumed, and under either loop.


@pytest.fixture(scope='module')
def folders(tmp_path_factory):
    """Return a folder for each case and loop, in which the uninterrupted training leaves its checkpoints."""
    root = tmp_path_factory.mktemp('loops')

    def folder(name: str, by_epoch: bool) -> Path:
        path = root / f'{name}_{by_epoch}'
        path.mkdir(exist_ok=True)
        return path

    return folder


@each_case
@pytest.mark.parametrize(
    ('by_epoch', 'checkpoint'),
    [(True, 'epoch_2.pth'), (False, f'iter_{MIDDLE}.pth')],
    ids=['epoch', 'iteration'],
)
def test_resumed_equals_uninterrupted(name, by_epoch, checkpoint, folders):
    folder = folders(name, by_epoch)
    whole = whole_run(name, folder, by_epoch)
    resumed = run_loop(CASES[name], folder, by_epoch, resume=checkpoint)
    assert_equal(loop_state(resumed), whole)


@each_case
def test_both_loops_go_the_same_way(name, folders):
    by_epoch, by_iteration = (whole_run(name, folders(name, way), way) for way in (True, False))
    assert_equal(by_iteration, by_epoch)


# 4. An update that overflows.


def overflowing(training: PlainTraining, *step: Any, **settings: Any) -> None:
    """Take a step in which all gradients of the model overflow."""
    hooks = [
        p.register_hook(lambda g: torch.full_like(g, torch.inf)) for p in training.guided.model.parameters()
    ]
    training.step(*step, **settings)
    for hook in hooks:
        hook.remove()


@each_case
@pytest.mark.parametrize('at', [0, 3], ids=['first', 'later'])
def test_an_update_that_overflows_leaves_no_trace(name, at, shared, tmp_path):
    of, data = CASES[name], batches(3)
    training = PlainTraining(of, tmp_path, scale=SCALE).run(data[:at])
    weights, before = {n: x.clone() for n, x in training.state().items()}, training.memory()
    overflowing(training, data[-1], at, seed=99)
    assert training.wrapper.loss_scaler.get_scale() == SCALE / 2  # it did overflow
    assert_equal(training.state(), weights)
    for path, value in training.memory().items():
        if path.split('.')[-1] in of.counters:
            assert value == before.get(path, 0) + 1
        elif before.get(path) is not None:
            assert same(value, before[path]), path
        else:
            assert is_beginning(training, path), path
    if not of.not_skipped:
        training.run(data[at:], first=at)
        assert_close(training.state(), scaled_training(name, shared).state(), tolerance=1e-12)


def is_beginning(training: PlainTraining, path: str) -> bool:
    """Return whether what is remembered at ``path`` says no more than that nothing was learnt yet."""
    value, name = training.memory()[path], path.split('.')[0]
    if name == 'initial':  # θ^0 of ReLearning
        return any(same(value, x) for x in training.start.values())
    if name == 'projection':  # P of MLA
        return same(value, torch.eye(len(value)))
    first = flat({name: training.balancer._declared()[name].first(training.balancer)})
    return same(value, first.get(path)) or (isinstance(value, Tensor) and not value.any())


# 5. Inactive.


@each_case
def test_inactive_changes_nothing(name, shared, tmp_path):
    """Not even what dropout draws, or what batch norm remembers."""
    watched = PlainTraining(CASES[name], tmp_path, noisy=True)
    watched.balancer.active = False
    seeded(0)
    watched.run(batches(3), reseed=False)
    assert_equal(watched.state(), joint_training(shared, noisy=True).state())


# 6. A batch without a modality.


@each_case
@pytest.mark.parametrize(
    ('modalities', 'gaps'), [(2, (0, 1, 2)), (3, (1, 3, 4))], ids=['from the first batch', 'later']
)
def test_a_batch_without_a_modality_trains_or_is_refused_by_name(name, modalities, gaps, tmp_path):
    """Nor does it spoil the batches that come after it."""
    of = CASES[name]
    training = PlainTraining(of, tmp_path, modalities)
    data = [
        {n: x for n, x in batch.items() if at not in gaps or n != 'x1'}
        for at, batch in enumerate(batches(modalities))
    ]
    if of.refuses(modalities, there=modalities - 1):
        with pytest.raises(ValueError, match=rf'{of.settings["type"]}|m1'):
            training.run(data)
        return
    training.run(data)
    assert torch.stack(training.losses).isfinite().all() and finite(training.state())


# 7. Half precision.


@each_case
def test_trains_in_half_precision(name, tmp_path):
    training = PlainTraining(CASES[name], tmp_path, dtype=torch.float32, type='BalancedAmpOptimWrapper')
    dtypes = set()
    training.guided.model.classifier.register_forward_hook(lambda m, i, output: dtypes.add(output.dtype))
    training.run(batches(3))
    assert torch.bfloat16 in dtypes and torch.stack(training.losses).isfinite().all()
    assert finite(training.state()) and finite(training.memory())


@each_case
def test_a_loss_scale_changes_neither_terms_nor_steps(name, shared):
    """A training in float64, which autocast leaves alone, so that the scale alone differs."""
    plain = whole_training(name, shared)
    scaled = scaled_training(name, shared)
    assert scaled.wrapper.loss_scaler.get_scale() == SCALE
    for found, expected in zip(scaled.terms, plain.terms, strict=True):
        assert (found is None) == (expected is None)
        if expected is not None:
            torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    assert_close(scaled.state(), plain.state())


def test_gradients_of_a_pass_do_not_depend_on_the_loss_scale(tmp_path):
    def gradients(scale: float | None) -> list[Tensor]:
        training = PlainTraining(CASES['MultiLoss'], tmp_path, dtype=torch.float32)
        guided, model = training.guided, training.guided.model
        guided(**batches(3)[0], mode='loss')
        seen = guided.take_pass()
        seen.loss_scale = None if scale is None else torch.tensor(scale)
        encoders = [p for encoder in guided.encoder_parameters() for p in encoder]
        return [
            *seen.gradients(seen.task_loss, list(model.parameters())),
            *seen.gradients(sum(seen.unimodal_losses()), encoders),
            *seen.gradients(sum(seen.guide_losses), list(guided.guides.parameters())),
        ]

    for found, expected in zip(gradients(1000.0), gradients(None), strict=True):
        assert expected.any()
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)


# 8. and 9. Several processes.


def process(rank: int, world: int, folder: Path) -> None:
    """Train each case twice in this process: on its share of each batch, then with draws of its own."""
    torch.set_num_threads(1)
    dist.init_process_group(
        'gloo', f'file://{folder}/store', timedelta(seconds=300), rank=rank, world_size=world
    )
    results = {}
    for name, of in CASES.items():
        for kind in ('alike', 'apart'):
            try:
                results[name, kind] = trained_in_process(of, rank, world, folder, apart=kind == 'apart')
            except Exception:
                results[name, kind] = traceback.format_exc()
    torch.save(results, folder / f'rank{rank}.pt')


def trained_in_process(of: Case, rank: int, world: int, folder: Path, apart: bool) -> dict[str, Any]:
    offset = 1000 * rank if apart else 0
    # Not before the model is built, which seeds for its weights.
    training = PlainTraining(of, folder, seed=offset, distributed=True, share=lambda x: x.chunk(world)[rank])
    training.run(batches(3)[: STEPS - EPOCH] if apart else batches(3), offset=offset)
    return dict(model=training.state(), memory=training.memory())


@pytest.fixture(scope='module')
def ranks(tmp_path_factory) -> list[dict]:
    """Return what two processes, started once for all methods, reached."""
    folder = tmp_path_factory.mktemp('processes')
    run_processes(process, 2, folder)
    return [torch.load(folder / f'rank{rank}.pt') for rank in range(2)]


@cases_but('not_distributed')
def test_two_processes_equal_one(name, ranks, shared):
    """Where a method draws at random, processes that are seeded alike, as MMEngine seeds them, draw alike."""
    whole = whole_training(name, shared)
    for rank in ranks:
        found = rank[name, 'alike']
        assert isinstance(found, dict), found
        assert_close(found['model'], whole.state())


@each_case
@pytest.mark.parametrize('kind', ['alike', 'apart'])
def test_processes_stay_equal_whatever_they_draw(name, kind, ranks):
    first, second = (rank[name, kind] for rank in ranks)
    assert isinstance(first, dict) and isinstance(second, dict), (first, second)
    for part in ('model', 'memory'):
        assert_equal(first[part], second[part])


def test_exemptions_are_few():
    """Each has a reason in the table; more of them are more that nobody checks."""
    for exemption, most in (('not_accumulated', 17), ('not_skipped', 4), ('not_distributed', 7)):
        assert sum(bool(getattr(of, exemption)) for of in CASES.values()) <= most
    assert STEPS > 2 * EPOCH  # what happens after an epoch happens, and is trained with

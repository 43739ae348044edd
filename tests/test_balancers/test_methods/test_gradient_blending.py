"""Gradient-Blending: its weights are those of the least overfitting, where the overfitting is planted."""

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from mmcggm.balancers import GradientBlending, blend_weights
from mmcggm.engine import BalancingHook, GuideScoreHook
from tests.many import many_batches, many_guided
from tests.tiny import (
    TinyData,
    batches,
    build_wrapper,
    evaluating_runner,
    tiny_guided,
    tiny_runner,
    weights,
    wrapper_config,
)
from tests.toy import Shown, ToyModel

ESTIMATED = dict(type='GradientBlending', super_epoch=2)


def losses_of(generalised: list[float], overfitted: list[float]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return training and validation losses of a super-epoch with this generalisation and overfitting."""
    g, o = (torch.tensor(x, dtype=torch.float64) for x in (generalised, overfitted))
    start = torch.stack([torch.full_like(g, 2.0), torch.full_like(g, 2.5)])
    return start, torch.stack([start[0] - g - o, start[1] - g])


def test_two_losses_by_hand():
    found = blend_weights(*losses_of([1.0, 1.0], [1.0, 2.0]))
    assert found.tolist() == pytest.approx([0.8, 0.2])


amounts = st.lists(st.tuples(st.floats(-1, 1), st.floats(0.1, 1)), min_size=3, max_size=7)


@given(amounts, st.integers(0, 10**6))
def test_no_blend_overfits_less_for_what_it_generalises(drawn, seed):
    """The paper's objective, (Σ w² O²) / (Σ w G)² for independent overfitting, against any other weights."""
    g, o = torch.tensor(drawn, dtype=torch.float64).T
    found = blend_weights(*losses_of(g.tolist(), o.tolist()))
    if (g <= 1e-3).all():
        return
    others = torch.distributions.Dirichlet(torch.full_like(g, 0.5)).sample((500,))
    others = torch.cat([others, (found + 0.05 * torch.randn(500, len(g), dtype=g.dtype)).clamp(min=0)])

    def ratio(w):
        return torch.where(w @ g > 0, (w**2 @ o**2) / (w @ g) ** 2, math.inf)

    assert found.sum().item() == pytest.approx(1) and ratio(found) <= ratio(others).min() * (1 + 1e-9)


def test_planted_overfitting_gradients():
    """Gradients with planted overfitting: the weights are those that a grid, measured, finds best."""
    torch.manual_seed(0)
    g, o = torch.tensor([0.5, 0.2, 0.6]), torch.tensor([0.2, 0.1, 0.5])
    overfitting = o * torch.randn(20_000, 3)  # ⟨∇L^T - ∇L^*, v_k⟩, independent
    steps = torch.arange(0, 1.001, 0.02)
    grid = torch.cartesian_prod(steps, steps)
    grid = torch.cat([grid, 1 - grid.sum(1, keepdim=True)], 1)
    grid = grid[grid[:, 2] >= 0]
    measured = (overfitting @ grid.T).square().mean(0) / (grid @ g) ** 2
    found = blend_weights(*losses_of(g.tolist(), o.tolist()))
    torch.testing.assert_close(grid[measured.argmin()].double(), found, atol=0.03, rtol=0)


def test_guards():
    start, end = losses_of([1.0, -0.5, 1.0, math.nan], [0.0, 0.1, 0.01, 0.1])
    assert blend_weights(start, end).tolist() == pytest.approx([0.5, 0, 0.5, 0])
    assert blend_weights(*losses_of([-1.0, 0.0], [1.0, 1.0])).isnan().all()


@pytest.mark.parametrize('active', [True, False])
def test_gradients_are_those_of_the_blend(active):
    guided, (batch,) = tiny_guided(), batches(1)  # a task without probabilities
    model, rate, given_weights = copy.deepcopy(guided.model), 0.1, [0.3, 0.0, 0.5]
    wrapper = build_wrapper(
        guided,
        optimizer=dict(type='SGD', lr=rate),
        balancer=dict(type='GradientBlending', weights=given_weights),
    )
    wrapper.balancer.active = active
    losses = [
        F.cross_entropy(guide(getattr(model, f'{name}_encoder')(batch[name])), batch['label'])
        for name, guide in guided.guides.items()
    ]
    losses.append(model(**batch, mode='loss')['loss'])
    expected = sum(w * loss for w, loss in zip(given_weights, losses, strict=True)) if active else losses[-1]
    grads = torch.autograd.grad(expected, list(model.parameters()))
    guided.train_step(batch, wrapper)
    for old, new, grad in zip(model.parameters(), guided.model.parameters(), grads, strict=True):
        torch.testing.assert_close(new, old - rate * grad)


def observed(balancer: GradientBlending, losses: list[list[float]], overflow: bool = False) -> None:
    """Run an update of passes with these losses, the fused model's last."""

    for values in losses:
        *unimodal, task_loss = (None if v is None else torch.tensor(v, requires_grad=True) for v in values)
        balancer.see(Shown(task_loss, unimodal_losses=unimodal))
    balancer.finish_update(torch.tensor(1.0) if overflow else None)


def blending(**settings) -> GradientBlending:
    return ToyModel(2).attached(GradientBlending(**settings))


def test_estimates_from_means_of_training_losses():
    """A modality that a batch lacks, a loss that is not finite and an overflow leave no trace."""
    balancer = blending(super_epoch=1)
    observed(balancer, [[2.0, None, 1.5], [4.0, 2.0, 2.5]])
    observed(balancer, [[9.0, 9.0, 9.0]], overflow=True)
    observed(balancer, [[math.inf, 4.0, 2.0]])
    start = torch.tensor([[3.0, 3.0, 2.0], [3.5, 3.5, 2.5]])
    balancer.see_validation([0.0, 0.0], start[1].tolist())
    observed(balancer, [[1.0, 2.5, 1.0]])
    assert balancer.stats['w'].tolist() == pytest.approx([1 / 3, 1 / 3])

    end = torch.tensor([[1.0, 2.5, 1.0], [2.0, 3.2, 1.8]])
    balancer.see_validation([0.0, 0.0], end[1].tolist())
    observed(balancer, [[0.5, 2.0, 0.5]])
    found = torch.cat([balancer.stats['w'], balancer.stats['w_fused'].reshape(1)])
    torch.testing.assert_close(found, blend_weights(start, end))

    balancer.see_validation([0.0, 0.0], [5.0, 5.0, 5.0])  # none generalised
    observed(balancer, [[0.5, 2.0, 0.5]])
    torch.testing.assert_close(balancer.stats['w'], found[:-1])
    assert balancer.events['no loss generalised, weights kept'] == 1


@pytest.mark.parametrize('online', [True, False])
def test_offline_estimates_once(online):
    balancer, seen = blending(super_epoch=2, online=online), []
    for epoch in range(7):
        observed(balancer, [[3.0 - epoch**2 / 20, 3.0 - epoch / 5, 2.0 - epoch / 5]])
        balancer.see_validation([0.0, 0.0], [3.0 - epoch / 5, 3.0 - epoch**2 / 50, 2.5 - epoch / 9])
        seen.append(balancer.weights)
    assert [i for i in range(1, 7) if seen[i] != seen[i - 1]] == ([2, 4, 6] if online else [2])


class Planted(TinyData):
    """Labels that ``left`` tells; ``right``, loud noise, can only memorise them."""

    def __init__(self, size: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.left, self.right = (torch.randn(size, 4, generator=generator) for _ in range(2))
        self.right *= 10
        self.label = (self.left[:, 0] > 0).long() + 1


def test_a_modality_that_only_memorises_loses_its_weight(tmp_path):
    def loader(size: int, seed: int) -> dict:
        template = evaluating_runner(tmp_path / 'template')._val_dataloader
        return {**template, 'dataset': Planted(size, seed), 'batch_size': 8}

    runner = evaluating_runner(
        tmp_path,
        max_epochs=7,
        train_dataloader=loader(16, 0),
        val_dataloader=loader(200, 1),
        hooks=[BalancingHook(), GuideScoreHook()],
        optim_wrapper=wrapper_config(balancer={**ESTIMATED, 'super_epoch': 6}),
    )
    runner.train()
    left, right, _ = runner.optim_wrapper.balancer.weights
    assert left > 0.8 and right < 0.1


@pytest.mark.parametrize('modalities', [2, 3, 6])
def test_any_number_of_modalities(modalities):
    guided, data = many_guided(modalities), many_batches(modalities, 8)
    wrapper = build_wrapper(guided, balancer=dict(type='GradientBlending', super_epoch=1))
    for batches_of_epoch in (data[:3], data[3:6]):
        for batch in batches_of_epoch:
            guided.train_step(batch, wrapper)
        with torch.no_grad():
            with guided.watch() as seen:
                guided.model(**data[6])
            losses = seen.loss_counts()
        wrapper.balancer.see_validation([0.0] * modalities, (losses[:, 0, 0] / losses[:, 0, 1]).tolist())
    guided.train_step(data[7], wrapper)
    stats = wrapper.balancer.stats
    assert stats['w'].shape == (modalities,) and len(set(stats['w'].tolist())) > 1
    assert (stats['w'].sum() + stats['w_fused']).item() == pytest.approx(1)
    assert weights(guided).isfinite().all()


def test_trains_by_config_and_resumes_as_if_uninterrupted(tmp_path):
    def run(folder, epochs, **overrides):
        runner = evaluating_runner(
            tmp_path / folder,
            max_epochs=epochs,
            hooks=[BalancingHook(), GuideScoreHook()],
            optim_wrapper=wrapper_config(balancer=dict(ESTIMATED)),
            **overrides,
        )
        runner.train()
        return runner

    whole = run('whole', 5)
    run('parts', 3)
    resumed = run('parts', 5, resume=True)
    for key, expected in whole.optim_wrapper.balancer.state_dict().items():
        torch.testing.assert_close(resumed.optim_wrapper.balancer.state_dict()[key], expected, rtol=0, atol=0)
    for expected, found in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(expected, found)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(weights=[0.5, -0.1, 0.6]), 'weights >= 0'),
        (dict(weights=[0.0, 0.0, 0.0]), 'one above zero'),
        (dict(super_epoch=0), 'super_epoch >= 1'),
        (dict(tolerance=0), 'tolerance > 0'),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        GradientBlending(**arguments)


def test_what_it_cannot_work_with_is_refused(tmp_path):
    with pytest.raises(ValueError, match='has 2 entries for 3 losses'):
        observed(blending(weights=[0.5, 0.5]), [[1.0, 1.0, 1.0]])
    balancer = blending()
    observed(balancer, [[1.0, 1.0, 1.0]])
    with pytest.raises(ValueError, match='give `losses`'):
        balancer.see_validation([0.0, 0.0])
    runner = tiny_runner(tmp_path, optim_wrapper=wrapper_config(balancer=dict(ESTIMATED)))
    with pytest.raises(ValueError, match=r"needs the losses.*dict\(type='GuideScoreHook'\)"):
        runner.train()

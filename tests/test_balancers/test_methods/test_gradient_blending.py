"""Gradient-Blending: its weights are those of the least overfitting, where the overfitting is planted."""

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from mmcggm.balancers import Clock, GradientBlending, Training, blend_weights
from mmcggm.engine import BalancingHook, GuideScoreHook
from mmcggm.guided.survey import mean_losses
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
from tests.toy import Shown

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


def blending(training: list[list[float]] | None = None, **settings) -> GradientBlending:
    """Return a balancer of two modalities that is told ``training`` losses, one set after another."""
    balancer = GradientBlending(**settings)
    answer = None if training is None else iter(training).__next__
    balancer.attach(Training(['a', 'b'], [[], []], training_losses=answer))
    return balancer


def test_estimates_from_both_losses_of_the_same_weights():
    start = torch.tensor([[3.0, 3.0, 2.0], [3.5, 3.5, 2.5]]).double()
    end = torch.tensor([[1.0, 2.5, 1.0], [2.0, 3.2, 1.8]]).double()
    balancer = blending([*start[:1].tolist(), *end[:1].tolist(), [0.0, 0.0, 0.0]], super_epoch=1)
    balancer.see_validation([0.0, 0.0], start[1].tolist())
    assert balancer.weights is None
    balancer.see_validation([0.0, 0.0], end[1].tolist())
    found = balancer.weights
    torch.testing.assert_close(torch.tensor(found).double(), blend_weights(start, end))
    balancer.see_validation([0.0, 0.0], [5.0, 5.0, 5.0])  # none generalised
    assert balancer.weights == found and balancer.events['no loss generalised, weights kept'] == 1


@pytest.mark.parametrize('online', [True, False])
def test_offline_estimates_once_and_only_ends_cost_a_pass(online):
    asked, seen = [], []
    balancer = blending([], super_epoch=2, online=online)

    def training_losses() -> list[float]:
        asked.append(epoch)
        return [3.0 - epoch**2 / 20, 3.0 - epoch / 5, 2.0 - epoch / 5]

    balancer.training.training_losses = training_losses
    for epoch in range(7):
        balancer.see_validation([0.0, 0.0], [3.0 - epoch / 5, 3.0 - epoch**2 / 50, 2.5 - epoch / 9])
        seen.append(balancer.weights)
    assert [i for i in range(1, 7) if seen[i] != seen[i - 1]] == ([2, 4, 6] if online else [2])
    assert asked == ([0, 2, 4, 6] if online else [0, 2])


def test_losses_are_those_of_every_sample_in_evaluation_mode():
    """Of guides and of the fused model, whatever batches they come in; the training goes on as it was."""
    guided, data = many_guided(3), many_batches(3, 3)
    joined = {name: torch.cat([batch[name] for batch in data]) for name in data[0]}
    found = mean_losses(guided, data)
    assert guided.training and found == pytest.approx(mean_losses(guided, [joined]), rel=1e-5)
    guided.eval()
    losses = [
        F.cross_entropy(guide(encoder(joined['x'][:, index])), joined['label']).item()
        for index, (guide, encoder) in enumerate(
            zip(guided.guides.values(), guided.model.encoders, strict=True)
        )
    ]
    assert found[:-1] == pytest.approx(losses, rel=1e-5)
    assert found[-1] == pytest.approx(guided.model(**joined, mode='loss')['loss'].item(), rel=1e-5)


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
    wrapper.attach(guided, Clock(), training_losses=lambda: mean_losses(guided, data[:6]))
    for batches_of_epoch in (data[:3], data[3:6]):
        for batch in batches_of_epoch:
            guided.train_step(batch, wrapper)
        wrapper.balancer.see_validation([0.0] * modalities, mean_losses(guided, data[6:7]))
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
    loss = torch.tensor(1.0, requires_grad=True)
    with pytest.raises(ValueError, match='has 2 entries for 3 losses'):
        blending(weights=[0.5, 0.5]).see(Shown(loss, unimodal_losses=[loss, loss]))
    with pytest.raises(ValueError, match='give `losses`'):
        blending([[1.0] * 3]).see_validation([0.0, 0.0])
    with pytest.raises(ValueError, match='a Training with `training_losses`'):
        blending().see_validation([0.0, 0.0], [1.0] * 3)
    runner = tiny_runner(tmp_path, optim_wrapper=wrapper_config(balancer=dict(ESTIMATED)))
    with pytest.raises(ValueError, match=r"needs the losses.*dict\(type='GuideScoreHook'\)"):
        runner.train()

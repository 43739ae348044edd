"""OGM against its published definition."""

import copy
import math
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from mmcggm.balancers import OGM, Training
from mmcggm.balancers.methods.ogm import ogm_coefficients
from tests.processes import run_processes
from tests.tiny import batches, build_wrapper, classifier_guided, weights
from tests.toy import Shown


@given(st.floats(0.01, 50), st.floats(0.01, 50), st.floats(0.05, 2))
def test_coefficients_of_two_modalities_are_the_papers(first, second, alpha):
    assume(abs(first / second - 1) > 1e-9)
    found = ogm_coefficients(torch.tensor([first, second], dtype=torch.float64), alpha).tolist()
    ratios = (first / second, second / first)
    expected = [1 - math.tanh(alpha * r) if r > 1 else 1 for r in ratios]
    assert found == pytest.approx(expected, rel=1e-6)


@given(st.lists(st.floats(0.01, 50), min_size=2, max_size=6))
def test_only_modalities_above_the_others_mean_are_slowed(sums):
    sums = torch.tensor(sums, dtype=torch.float64)
    others = (sums.sum() - sums) / (len(sums) - 1)
    assume(((sums / others - 1).abs() > 1e-9).all())
    coefficients = ogm_coefficients(sums, 0.5)
    above = sums > others
    assert torch.equal(coefficients < 1, above) and (coefficients >= 0).all()


@pytest.mark.parametrize('enhance', [False, True])
def test_encoders_are_slowed_by_what_the_guides_say(enhance):
    guided, (batch,) = classifier_guided(), batches(1)
    confidences = [
        guided.guides[m](getattr(guided.model, f'{m}_encoder')(batch[m])).softmax(1)[
            range(16), batch['label']
        ]
        for m in ('left', 'right')
    ]
    sums = torch.stack([c.sum() for c in confidences]).detach()
    loss = guided.model(**batch, mode='loss')['loss']
    plain = torch.autograd.grad(loss, [guided.model.left_encoder.bias, guided.model.right_encoder.bias])
    before = [guided.model.left_encoder.bias.clone(), guided.model.right_encoder.bias.clone()]

    wrapper = build_wrapper(
        guided, optimizer=dict(type='SGD', lr=0.1), balancer=dict(type='OGM', alpha=0.7, enhance=enhance)
    )
    guided.train_step(batch, wrapper)
    coefficients = ogm_coefficients(sums, 0.7)
    torch.testing.assert_close(wrapper.balancer.stats['k'], coefficients)
    after = [guided.model.left_encoder.bias, guided.model.right_encoder.bias]  # one axis: no noise
    for old, new, grad, coefficient in zip(before, after, plain, coefficients, strict=True):
        torch.testing.assert_close(new, old - 0.1 * coefficient * grad)


def noisy_gradients(seed: int, update: int, global_seed: int, enhance: bool = True) -> list[torch.Tensor]:
    """Return what OGM leaves of gradients that are the same each time: those of weights, and of biases."""
    torch.manual_seed(global_seed)
    encoders = [[nn.Parameter(torch.zeros(60, 50)), nn.Parameter(torch.zeros(60))] for _ in range(2)]
    generator = torch.Generator().manual_seed(0)
    for parameter in (p for encoder in encoders for p in encoder):
        parameter.grad = 3 * torch.randn(parameter.shape, generator=generator)
    balancer = OGM(alpha=0.5, enhance=enhance)
    balancer.attach(Training(('a', 'b'), encoders, seed=seed))
    balancer.updates = update
    balancer.see(Shown(confidences=[torch.tensor([0.5]), torch.tensor([0.25])]))
    balancer.finish_update()
    return [p.grad for encoder in encoders for p in encoder]


def test_noise_has_the_gradients_deviation_and_follows_seed_and_update_alone():
    found, plain = (noisy_gradients(1, 1, 0, enhance) for enhance in (True, False))
    for weight in (0, 2):
        noise = found[weight] - plain[weight]
        assert noise.std() == pytest.approx(3, rel=0.05) and noise.mean().abs() < 0.2
    assert not torch.equal(found[0] - plain[0], found[2] - plain[2])
    assert torch.equal(found[1], plain[1]) and torch.equal(found[3], plain[3])
    assert all(torch.equal(a, b) for a, b in zip(found, noisy_gradients(1, 1, 9), strict=True))
    for seed, update in ((1, 2), (5, 1)):
        assert not torch.equal(found[0], noisy_gradients(seed, update, 0)[0])


def train_on_rank(rank: int, folder: Path) -> None:
    dist.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
    guided, (batch,) = classifier_guided(), batches(1)
    plain = copy.deepcopy(guided)
    torch.manual_seed(100 + rank)  # as processes have it that shuffle and drop out on their own
    for model, enhance in ((guided, True), (plain, False)):
        model.train_step(batch, build_wrapper(model, balancer=dict(type='OGM', enhance=enhance)))
    torch.save((weights(guided.model), weights(plain.model)), folder / f'{rank}.pth')


def test_noise_is_the_same_in_all_processes_whatever_their_seeds(tmp_path):
    run_processes(train_on_rank, tmp_path)
    (first, plain), (second, other) = (torch.load(tmp_path / f'{rank}.pth') for rank in range(2))
    assert torch.equal(first, second) and torch.equal(plain, other) and not torch.equal(first, plain)


def test_a_modality_that_the_batch_lacks_is_left_out_of_the_comparison():
    assert ogm_coefficients(torch.tensor([3.0, 0, 0]), 0.5).tolist() == [1, 1, 1]
    with_it, without = (ogm_coefficients(torch.tensor(sums), 0.5)[:2] for sums in ([3.0, 2, 0], [3.0, 2]))
    torch.testing.assert_close(with_it, without)


def test_bad_alpha_is_refused():
    with pytest.raises(ValueError, match='alpha > 0'):
        OGM(alpha=0)

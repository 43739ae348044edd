"""OPM against its published definition."""

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmcggm.balancers import OPM
from mmcggm.balancers.methods.opm import opm_probabilities
from tests.many import many_batches, many_guided
from tests.tiny import attached, batches, build_wrapper, classifier_guided, tiny_guided, tiny_runner

SGD = dict(type='SGD', lr=0.1)
sums = st.floats(0.01, 50)


def dropping(q, **settings):
    """Return a balancer whose last update found ``q``."""
    balancer = OPM(**{'p_exe': 1, **settings})
    balancer.load_state_dict({'q': torch.tensor(q)})
    return balancer


@given(sums, sums, st.floats(0.05, 1), st.floats(0, 2))
def test_probabilities_of_two_modalities_are_the_papers(first, second, q_base, lam):
    found = opm_probabilities(torch.tensor([first, second], dtype=torch.float64), q_base, lam).tolist()
    ratios = (first / second, second / first)
    expected = [min(q_base * (1 + lam * math.tanh(r - 1)), 1) if r > 1 + 1e-5 else 0 for r in ratios]
    assert found == pytest.approx(expected, rel=1e-6)


@given(st.lists(st.floats(0, 50), min_size=2, max_size=6))
def test_one_modality_is_always_kept(found):
    q = opm_probabilities(torch.tensor(found, dtype=torch.float64), 1.0, 1.0)
    assert (q == 0).any() and ((q >= 0) & (q <= 1)).all()


def test_a_modality_that_nothing_compares_with_is_kept():
    assert opm_probabilities(torch.tensor([3.0, 0, 0]), 0.5, 0.5).tolist() == [0, 0, 0]


def test_samples_are_dropped_with_their_probability_and_the_rest_is_scaled():
    torch.manual_seed(0)
    changes = dropping([0.6, 0.0, 0.3]).pass_changes()
    for index, share in enumerate((0.6, 0.0, 0.3)):
        x = torch.ones(20000, 2, 3)
        changed = changes[index](x).flatten(1)
        kept = changed.any(1)
        assert 1 - kept.float().mean() == pytest.approx(share, abs=0.02)
        torch.testing.assert_close(changed[kept], torch.full_like(changed[kept], 1 / (1 - 0.3)))


def test_all_tensors_of_a_representation_lose_the_same_samples():
    change = dropping([0.5, 0.0]).pass_changes()[0]
    coarse, fine = change(torch.ones(64, 3)), change(torch.ones(64, 5, 2, 2))
    assert torch.equal(coarse.any(1), fine.flatten(1).any(1))


def test_it_happens_in_a_fraction_of_the_passes():
    torch.manual_seed(0)
    balancer = dropping([0.5, 0.0], p_exe=0.7)
    assert sum(bool(balancer.pass_changes()) for _ in range(5000)) / 5000 == pytest.approx(0.7, abs=0.03)
    balancer.active = False
    assert not balancer.pass_changes() and not OPM(p_exe=1).pass_changes()


def test_a_dropped_sample_does_not_train_the_encoder_and_is_judged_all_the_same():
    guided, (batch,) = classifier_guided(), batches(1)
    model, guides = copy.deepcopy(guided.model), copy.deepcopy(guided.guides)
    wrapper = build_wrapper(guided, optimizer=SGD, balancer=dropping([1.0, 0.0]))
    guided.train_step(batch, wrapper)
    assert torch.equal(guided.model.left_encoder.weight, model.left_encoder.weight)
    assert not torch.equal(guided.model.right_encoder.weight, model.right_encoder.weight)
    for found, modality in zip(wrapper.balancer.stats['confidence'], guided.modalities, strict=True):
        logits = guides[modality](getattr(model, f'{modality}_encoder')(batch[modality]))
        torch.testing.assert_close(found, logits.softmax(1)[range(16), batch['label']].sum().detach())


@pytest.mark.parametrize('count', [2, 3, 6])
def test_trains_by_config(count):
    torch.manual_seed(0)
    guided = many_guided(count)
    wrapper = build_wrapper(guided, optimizer=SGD, balancer=dict(type='OPM', p_exe=1))
    for batch in many_batches(count, 60, size=32):
        guided.train_step(batch, wrapper)
    stats = wrapper.balancer.stats
    expected = opm_probabilities(stats['confidence'], 0.5, 0.5)
    assert stats['q'].shape == (count,) and torch.equal(stats['q'], expected)
    assert stats['q'][0] > 0  # the first tells the label best


def test_resumed_equals_uninterrupted():
    guided, data = many_guided(3), many_batches(3, 6)
    wrapper = build_wrapper(guided, optimizer=SGD, balancer=dict(type='OPM'))
    for batch in data[:3]:
        guided.train_step(batch, wrapper)
    resumed = copy.deepcopy(guided)
    again = build_wrapper(resumed, optimizer=SGD, balancer=dict(type='OPM'))
    again.load_state_dict(copy.deepcopy(wrapper.state_dict()))
    for model, optim_wrapper in ((guided, wrapper), (resumed, again)):
        torch.manual_seed(1)
        for batch in data[3:]:
            model.train_step(batch, optim_wrapper)
    for new, old in zip(resumed.parameters(), guided.parameters(), strict=True):
        assert torch.equal(new, old)


def test_an_update_that_is_skipped_leaves_no_trace():
    guided, (batch,) = many_guided(2), many_batches(2, 1)
    balancer = attached(dropping([0.25, 0.0]), guided)
    guided(**batch, mode='loss')
    balancer.see(guided.take_pass())
    balancer.finish_update(torch.tensor(1.0))
    assert balancer.state_dict()['q'].tolist() == [0.25, 0.0]


def test_trains_in_a_runner_and_in_half_precision(tmp_path):
    wrapper = dict(type='BalancedAmpOptimWrapper', optimizer=SGD, balancer=dict(type='OPM'))
    model = classifier_guided()
    runner = tiny_runner(
        tmp_path, model=model, optim_wrapper=dict(wrapper, constructor='GuidedOptimWrapperConstructor')
    )
    runner.train()
    assert all(p.isfinite().all() for p in model.parameters())
    assert {'train/balance/q/left', 'train/balance/confidence/right'} <= set(runner.message_hub.log_scalars)


@pytest.mark.parametrize('wrong', [dict(q_base=0), dict(q_base=1.5), dict(p_exe=0), dict(lam=-1)])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        OPM(**wrong)


def test_a_task_without_probabilities_is_refused():
    guided = tiny_guided()
    wrapper = build_wrapper(guided, balancer=dict(type='OPM'))
    with pytest.raises(ValueError, match='TinyTask has no probabilities'):
        guided.train_step(batches(1)[0], wrapper)

"""Which modalities are dropped at random: as often as asked, and never all that a sample has."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmcggm.balancers.dropping import draw_kept, dropping
from mmcggm.balancers.pass_record import change_of


@given(st.lists(st.floats(0, 1), min_size=2, max_size=5), st.integers(0, 20), st.data())
def test_no_sample_loses_everything(p, samples, data):
    present = data.draw(
        st.none() | st.integers(0, 2**31).map(lambda seed: random_present(seed, samples, len(p)))
    )
    kept = draw_kept(torch.tensor(p), samples, present)
    assert kept.shape == (samples, len(p))
    if present is None:
        assert kept.any(1).all()
    else:
        assert torch.equal(kept.any(1), present.any(1)) and not (kept & ~present).any()


def random_present(seed, samples, count):
    return torch.rand(samples, count, generator=torch.Generator().manual_seed(seed)) < 0.5


def test_modalities_are_left_out_as_often_as_asked():
    """``P(i is left out) = p_i - Π p / M``: one of those that lost everything is given back."""
    torch.manual_seed(0)
    p = torch.tensor([0.2, 0.5, 0.7])
    left_out = 1 - draw_kept(p, 200_000).float().mean(0)
    torch.testing.assert_close(left_out, p - p.prod() / 3, atol=4e-3, rtol=0)


def test_what_is_kept_last_is_drawn_evenly_from_what_is_there():
    torch.manual_seed(0)
    present = torch.tensor([True, False, True, True]).expand(100_000, 4)
    kept = draw_kept(torch.ones(4), 100_000, present).float().mean(0)
    torch.testing.assert_close(kept, torch.tensor([1, 0, 1, 1]) / 3, atol=6e-3, rtol=0)


def test_all_representations_share_one_draw_and_what_is_kept_is_scaled():
    present = torch.tensor([[True, True], [True, False], [False, True], [False, False]]).repeat(50, 1)
    changes = dropping(torch.tensor([0.9, 0.9]), scale=3.0)
    first, second = (change_of(changes[i], torch.ones(200, 2), present) for i in (0, 1))
    again = change_of(changes[0], torch.ones(200, 5, 2), present)
    assert torch.equal(again.flatten(1).any(1), first.any(1))
    assert torch.equal((first + second).any(1), present.any(1))
    assert first.unique().tolist() == pytest.approx([0, 3])

"""State that methods declare: sums of an update, memories between updates, and what an overflow leaves."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmcggm.balancers import Balancer, Memory, Training, UpdateMean, UpdateSum
from mmcggm.balancers.state import difference, undone
from tests.toy import Shown, ToyModel

CLEAN, OVERFLOWED = torch.tensor(0.0), torch.tensor(1.0)


class Remembering(Balancer):
    """Adds up what passes show, and remembers it in every shape that a memory may have."""

    hits = UpdateSum()
    share = UpdateMean()
    total = Memory(torch.zeros)
    last = Memory()
    nested = Memory(lambda count: [[torch.zeros(2)] for _ in range(count)])
    later = Memory()
    named = Memory({})
    updates = Memory(0)

    def observe(self, seen):
        self.hits.add(seen.counts())
        self.share.add([seen.counts(), [2 * seen.counts()]])

    def end_update(self):
        hits = self.hits.total
        self.total = self.total + hits
        self.last = hits
        self.nested = [[x + hits[:2]] for (x,) in self.nested]
        self.later = [[hits], [x for (x,) in self.nested]]
        self.named = {'hits': hits + self.named.get('hits', 0)}
        self.updates += 1


def remembering() -> Remembering:
    return ToyModel(2).attached(Remembering())


def update(balancer: Balancer, *counts: torch.Tensor, overflow: torch.Tensor | None = None) -> None:
    for count in counts:
        balancer.see(Shown(counts=count))
    balancer.finish_update(overflow)


@given(st.lists(st.lists(st.floats(-9, 9), min_size=2, max_size=2), min_size=1, max_size=6))
def test_sums_and_means_run_over_the_passes_of_an_update(rows):
    balancer, counts = remembering(), torch.tensor(rows, requires_grad=True)
    for number, count in enumerate(counts, 1):
        balancer.see(Shown(counts=count))
        expected = counts[:number].detach()
        torch.testing.assert_close(balancer.hits.total, expected.sum(0))
        share, (double,) = balancer.share.total
        torch.testing.assert_close(share, expected.mean(0))
        torch.testing.assert_close(double, 2 * expected.mean(0))
        assert not balancer.hits.total.requires_grad
    balancer.finish_update()
    assert balancer.hits.total is None and balancer.share.total is None


def test_processes_exchange_their_sums_once_for_each_pass_however_often_they_are_asked(monkeypatch):
    exchanged = []

    def two_alike(self, tensor, mean=False):
        exchanged.append(mean)
        return tensor if mean else 2 * tensor

    monkeypatch.setattr(Training, 'over_processes', two_alike)
    balancer, count = remembering(), torch.tensor([1.0, 3.0])
    for passes in (1, 2):
        balancer.see(Shown(counts=count))
        for _ in range(3):
            assert torch.equal(balancer.hits.total, 2 * passes * count)
            assert torch.equal(balancer.share.total[0], count)
    assert exchanged == [False, True, True] * 2


def test_balancers_of_one_class_have_state_of_their_own():
    first, second = remembering(), remembering()
    update(first, torch.ones(2))
    assert second.total.tolist() == [0, 0] and second.last is None and second.hits.total is None


@pytest.mark.parametrize('before', [0, 1, 2])
def test_an_update_that_overflows_leaves_no_trace(before):
    balancer, twin = remembering(), remembering()
    for index in range(before):
        for each in (balancer, twin):
            update(each, torch.tensor([1.0, index]))
    update(balancer, torch.tensor([torch.nan, torch.inf]), torch.ones(2), overflow=OVERFLOWED)
    assert balancer.hits.total is None
    if not before:  # what was nothing is zero
        assert balancer.last.tolist() == [0, 0] and balancer.named['hits'].tolist() == [0, 0]
        assert balancer.later[0][0].tolist() == [0, 0] and len(balancer.later[1]) == 2
    for each in (balancer, twin):
        update(each, torch.tensor([3.0, 4.0]), overflow=CLEAN)
    found, expected = balancer.state_dict(), twin.state_dict()
    assert found.pop('updates') == expected.pop('updates') + 1  # what the host counts stays counted
    torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.parametrize(('overflow', 'kept'), [(CLEAN, False), (OVERFLOWED, True)])
def test_the_old_value_is_back_where_an_update_overflowed(overflow, kept):
    new, old = torch.tensor([1.0, float('nan')]), torch.tensor([3.0, 4.0], dtype=torch.float64)
    for before, expected in ((old, old.float()), (None, torch.zeros(2))):
        found = undone(new, before, overflow)
        torch.testing.assert_close(found, expected if kept else new, equal_nan=True)
        nested = None if before is None else [[before], {'a': before}]
        found = undone([[new], {'a': new}], nested, overflow)
        for value in (found[0][0], found[1]['a']):
            torch.testing.assert_close(value, expected if kept else new, equal_nan=True)
    truth = torch.tensor([True, False])
    assert undone(truth, None, overflow).tolist() == [not kept, False]
    assert undone(5, 3, overflow) == 5


@pytest.mark.parametrize('attached_first', [True, False])
def test_a_checkpoint_goes_on_where_it_was_taken(attached_first):
    balancer = remembering()
    update(balancer, torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]))
    state = balancer.state_dict()
    kept, other = copy.deepcopy(state), Remembering()
    if attached_first:
        ToyModel(2).attached(other)
        other.see(Shown(counts=torch.ones(2)))  # of an update that will never be finished
    other.load_state_dict(copy.deepcopy(state))
    ToyModel(2).attached(other)
    for each in (balancer, other):
        update(each, torch.tensor([5.0, 6.0]))
    torch.testing.assert_close(other.state_dict(), balancer.state_dict(), rtol=0, atol=0)
    torch.testing.assert_close(state, kept, rtol=0, atol=0)  # a state that was taken stays as it is


def test_a_state_of_another_method_is_refused():
    with pytest.raises(ValueError, match=r"not one of Remembering: it holds \['q'\], .* remembers \['last'"):
        remembering().load_state_dict({'q': torch.ones(2), 'total': torch.ones(2)})


def test_values_are_where_the_encoders_are():
    balancer = Remembering()
    balancer.load_state_dict({'later': [[torch.ones(2)]], 'updates': 3})
    model = ToyModel(2).to('meta')
    model.attached(balancer)
    assert balancer.later[0][0].is_meta and balancer.total.is_meta and balancer.updates == 3


@pytest.mark.parametrize(
    ('own', 'found', 'named'),
    [
        (dict(a=torch.zeros(2), b=[1, None], c=[]), dict(a=torch.ones(2), b=[2.5, 'x'], c=[1, 2]), None),
        (dict(a=torch.zeros(2)), dict(a=torch.ones(3)), '`x.a`'),
        (dict(a=torch.zeros(2)), dict(a=1), '`x.a`'),
        (dict(b=[1, [2, 3]]), dict(b=[1, [2, '3']]), '`x.b.1.1`'),
        (dict(b=[1]), dict(b=[1, 2]), '`x.b`'),
        (dict(b=[1]), dict(b=1), '`x.b`'),
        (dict(b='less'), dict(b=1), '`x.b`'),
        (dict(), 1, '`x`'),
        (dict(), dict(new=1), None),
    ],
)
def test_a_state_of_another_kind_is_named(own, found, named):
    assert difference(own, found, 'x') == named

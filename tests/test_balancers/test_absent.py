"""Samples that lack modalities: no method leaves one with nothing, or takes for its own what it lacks."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from mmcggm.balancers import OPM, SMV, AMCo, Combined, ModalityDropout, MultiLoss
from mmcggm.balancers.coalitions import masking
from mmcggm.balancers.methods.cml import removing
from mmcggm.balancers.methods.data_remixing import owners
from mmcggm.balancers.methods.mcr import order_among
from mmcggm.balancers.methods.midas import draw_partners, label_shares
from mmcggm.balancers.methods.smv import _passes, sample_weights, valued
from mmcggm.balancers.pass_record import change_of
from tests.many import ManyClassifier, many_batches
from tests.tiny import attached, classifier_guided

NAMES = ('first', 'second', 'third')
# Of 16 samples each has one, two or three modalities, in all ways.
PRESENT = torch.tensor([[bool(code >> i & 1) for i in range(3)] for code in (1, 2, 3, 4, 5, 6, 7, 1) * 2])


class Told(ManyClassifier):
    """A model whose batch says what is there; it keeps what reached fusion."""

    def fuse(self, representations):
        self.fused = torch.stack(representations, 1).detach()  # (N, M, 8)
        return super().fuse(representations)

    def forward(self, x, label, present=None, mode='tensor'):
        return super().forward(x, label, mode)


def told():
    torch.manual_seed(0)
    return classifier_guided(
        model=Told(3),
        encoders={name: f'encoders.{i}' for i, name in enumerate(NAMES)},
        present='present',
    )


def opm():
    balancer = OPM(p_exe=1)
    balancer.load_state_dict({'q': torch.tensor([0.9, 0.0, 0.9])})
    return balancer


def amco():
    balancer = AMCo(eps=1e-9)  # all channels are masked
    balancer.load_state_dict({'masked': torch.tensor([True, False, True])})
    return balancer


@pytest.mark.parametrize(
    'make',
    [lambda: ModalityDropout(p=0.9), opm, amco, lambda: Combined([ModalityDropout(p=0.9), MultiLoss()])],
    ids=['ModalityDropout', 'OPM', 'AMCo', 'Combined'],
)
def test_what_is_dropped_is_never_all_that_a_sample_has(make):
    guided, (batch,) = told(), many_batches(3, 1)
    batch['present'] = dict(zip(NAMES, PRESENT.unbind(1), strict=True))
    balancer = attached(make(), guided)
    balancer.clock.progress = 0.5
    lost = 0
    for _ in range(10):
        with guided.changing(balancer.pass_changes()):
            guided(**batch, mode='loss')
        guided.take_pass()
        reached = guided.model.fused.any(2)
        assert reached.any(1).all() and not (reached & ~PRESENT).any()
        lost += (PRESENT & ~reached).sum()
    assert lost > 20


seeds = st.integers(0, 10_000)


def random_present(seed, samples=24, count=3):
    """Return what some samples have, at least one modality each."""
    generator = torch.Generator().manual_seed(seed)
    present = torch.rand(samples, count, generator=generator) < 0.5
    present[torch.arange(samples), torch.randint(count, (samples,), generator=generator)] = True
    return present


@given(seeds)
def test_data_remixing_gives_samples_to_modalities_that_they_have(seed):
    torch.manual_seed(seed)
    present, logits = random_present(seed), torch.randn(3, 24, 4)
    owned = owners(list(logits * present.T.unsqueeze(2)), present)
    assert (owned.sum(0) == 1).all() and not (owned & ~present.T).any()
    alone = [
        owners([z[n : n + 1] if present[n, i] else None for i, z in enumerate(logits)]) for n in range(24)
    ]
    assert torch.equal(owned, torch.cat(alone, 1))


@given(seeds)
def test_midas_exchanges_among_samples_that_have_the_modality(seed):
    torch.manual_seed(seed)
    labels, there = torch.randint(3, (24,)), random_present(seed)[:, 0]
    partners, found = draw_partners(labels, there)
    assert (there & there[partners] & (labels != labels[partners]))[found].all()
    for n in range(24):
        assert found[n] == (there[n] and (labels[there] != labels[n]).any())


@given(seeds, st.booleans())
def test_midas_shares_labels_among_what_a_sample_has(seed, weak):
    torch.manual_seed(seed)
    present, confidences = random_present(seed).T, torch.rand(3, 24)
    shares = label_shares(list(confidences * present), weak, present)
    for n in range(24):
        own = label_shares(list(confidences[present[:, n], n : n + 1]), weak)
        torch.testing.assert_close(shares[present[:, n], n], own[:, 0])
    assert not shares[~present].any()


@given(seeds)
def test_mcr_permutes_among_samples_that_have_the_modality(seed):
    torch.manual_seed(seed)
    order, there = torch.randperm(24), random_present(seed)[:, 0]
    found = order_among(order, there)
    assert torch.equal(found.sort().values, torch.arange(24))
    assert torch.equal(found[~there], torch.arange(24)[~there]) and there[found][there].all()
    assert torch.equal(order_among(order, torch.ones(24, dtype=torch.bool)), order)


@given(seeds, st.permutations(range(3)), st.integers(1, 2))
def test_cml_removes_what_samples_can_do_without(seed, order, removed):
    present = random_present(seed)
    changes = removing(order[:removed], order[removed:])
    left = torch.stack(
        [
            change_of(changes[i], x, present).any(1) if i in changes else x.any(1)
            for i, x in enumerate(present.float().unsqueeze(2).unbind(1))
        ],
        dim=1,
    )
    enough = present[:, order[removed:]].any(1)
    expected = present.clone()
    expected[:, order[:removed]] &= ~enough.unsqueeze(1)
    assert torch.equal(left, expected)


@pytest.mark.parametrize('level', ['sample', 'modality'])
def test_smv_trains_modalities_alone_on_samples_that_have_them(level):
    """Samples that lack a modality add nothing, whatever their label says of it."""
    guided, (batch,) = told(), many_batches(3, 1)
    batch['present'] = dict(zip(NAMES, PRESENT.unbind(1), strict=True))
    balancer = attached(SMV(level=level), guided)
    if level == 'modality':
        balancer.load_state_dict({'weights': [1.0, 1.0, 1.0]})
    guided(**batch, mode='loss')
    seen = guided.take_pass()
    alone = [seen.rerun(masking(frozenset({i}), 3)).output for i in range(3)]
    losses = torch.stack([F.cross_entropy(z, batch['label'], reduction='none') for z in alone])
    weights = torch.ones(3, 16)
    if level == 'sample':
        weights = sample_weights(valued(seen, _passes(seen, 3, trained=False)))
    torch.testing.assert_close(balancer.loss_term(seen), (weights * PRESENT.T * losses).sum() / 16)

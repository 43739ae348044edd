"""The synthetic family: where the label is, what can be reached, and the data set on it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from mmcggm.datasets import SyntheticInformationDataset
from mmcggm.datasets.synthetic_information.family import HEIGHT, InformationFamily

LAYERS = dict(a=0, b=2)


def family(**changes) -> InformationFamily:
    return InformationFamily(**{**dict(layers=LAYERS, shared=0.5, unique=dict(a=0.2, b=0.3)), **changes})


def dataset(**changes) -> SyntheticInformationDataset:
    defaults = dict(layers=LAYERS, shared=0.5, unique=dict(a=0.2, b=0.3), samples=40)
    return SyntheticInformationDataset(**{**defaults, **changes})


@settings(deadline=None, max_examples=30)
@given(
    st.lists(st.integers(0, 20), min_size=4, max_size=4).filter(sum), st.integers(1, 300), st.integers(0, 9)
)
def test_shares_are_the_knobs(parts, samples, seed):
    shared, *unique, _ = (part / sum(parts) for part in parts)  # the last: nowhere
    made = family(shared=shared, unique=dict(zip('ab', unique, strict=True)), seed=seed).draw(samples, 0)
    found = {place: (made.informed == place).all(1).sum() for place in [(1, 1), (1, 0), (0, 1), (0, 0)]}
    wanted = [shared, *unique, 1 - shared - sum(unique)]
    assert all(abs(n - w * samples) <= 1 for n, w in zip(found.values(), wanted, strict=True))
    assert np.bincount(made.labels, minlength=4).max() - np.bincount(made.labels, minlength=4).min() <= 1


def test_the_order_of_the_modalities_does_not_count():
    first = family().draw(50, 0)
    other = family(layers=dict(b=2, a=0), unique=dict(b=0.3, a=0.2)).draw(50, 0)
    assert all(np.array_equal(first.inputs[name], other.inputs[name]) for name in 'ab')
    assert np.array_equal(first.informed, other.informed)


def test_the_label_is_where_it_is_said_to_be():
    made = family().draw(4000, 0)
    for index, latent in enumerate(made.latents.values()):
        at_label = latent[np.arange(4000), made.labels]
        informed = made.informed[:, index]
        assert at_label[informed].mean() == pytest.approx(4, abs=0.1)
        assert at_label[~informed].mean() == pytest.approx(0, abs=0.1)
        others = np.delete(latent.ravel(), np.arange(4000) * 32 + made.labels)
        assert others.mean() == pytest.approx(0, abs=0.02) and others.std() == pytest.approx(1, abs=0.02)


def test_nothing_is_lost():
    made, own = family(), family().draw(50, 0)
    for name, x in own.inputs.items():
        *couplings, (last, _) = made.rotations(name)
        assert len(couplings) == LAYERS[name]
        z = x.astype(float) @ last.T
        for rotation, weight in reversed(couplings):
            z[:, 16:] -= HEIGHT * np.tanh(z[:, :16] @ weight)
            z = z @ rotation.T
        assert np.allclose(z, own.latents[name], atol=1e-4)


def test_best_accuracy_of_two_classes_is_the_closed_form():
    """The difference of two dimensions has mean a and variance 2, in both modalities 2 a and 4."""
    made = family(classes=2, signal=1.5)
    one, both = norm.cdf(1.5 / 2**0.5), norm.cdf(1.5)
    assert made.best_accuracy(['a']) == pytest.approx(0.7 * one + 0.3 * 0.5)
    assert made.best_accuracy(['b']) == pytest.approx(0.8 * one + 0.2 * 0.5)
    assert made.best_accuracy(['a', 'b']) == pytest.approx(0.5 * both + 0.5 * one)


@pytest.mark.parametrize('signal', [1.5, 4.0])
def test_bayes_reader_reaches_the_best_of_one_modality_and_not_more_of_two(signal):
    made = family(signal=signal, unique=dict(a=0.15, b=0.2))
    own = made.draw(40000, 0)
    a, b = (latent[:, :4] for latent in own.latents.values())
    for name, latent in (('a', a), ('b', b)):
        accuracy = (latent.argmax(1) == own.labels).mean()
        assert accuracy == pytest.approx(made.best_accuracy([name]), abs=0.01)
    # Likelihood ratios of N + Y against N, mixed by the shares.
    ratio_a, ratio_b = (np.exp(signal * latent - signal**2 / 2) for latent in (a, b))
    posterior = 0.5 * ratio_a * ratio_b + 0.15 * ratio_a + 0.2 * ratio_b + 0.15
    accuracy = (posterior.argmax(1) == own.labels).mean()
    assert max(made.best_accuracy(['a']), made.best_accuracy(['b'])) < accuracy
    assert accuracy <= made.best_accuracy(['a', 'b']) + 0.006
    if signal == 4.0:
        assert accuracy == pytest.approx(made.best_accuracy(['a', 'b']), abs=0.02)


def test_the_seed_decides_and_splits_differ():
    def inputs(**changes):
        return torch.stack([sample['inputs']['b'] for sample in dataset(**changes)])

    assert torch.equal(inputs(), inputs())
    assert not torch.equal(inputs(), inputs(seed=1))
    splits = [inputs(split=split) for split in ('train', 'val', 'test')]
    assert len(torch.cat(splits).unique(dim=0)) == 120


def test_shares_change_where_the_label_is_and_nothing_else():
    few, more = (
        family(shared=shared, unique=dict(a=(1 - shared) / 2, b=(1 - shared) / 2)).draw(200, 0)
        for shared in (1.0, 0.4)
    )
    assert np.array_equal(few.labels, more.labels)
    for index, name in enumerate(LAYERS):
        same = (few.latents[name] == more.latents[name]).all(1)
        assert np.array_equal(same, more.informed[:, index])


def test_a_sample_has_the_promised_form():
    data = dataset(indices=[3, 7])
    assert len(data) == 2 and data.metainfo['classes'] == ('0', '1', '2', '3')
    sample, item = data[1], data.get_data_info(1)
    assert {m: (x.shape, x.dtype) for m, x in sample['inputs'].items()} == dict.fromkeys(
        'ab', (torch.Size([32]), torch.float32)
    )
    assert sample['labels'].dtype == torch.int64 and sample['labels'].shape == ()
    drawn = data.family.draw(40, 0)
    assert item['label'] == drawn.labels[7] and item['informed'] == drawn.informed[7].tolist()
    assert np.array_equal(sample['inputs']['a'].numpy(), drawn.inputs['a'][7])


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(split='dev'), '`split`'),
        (dict(samples=0), '`samples`'),
        (dict(shared=0.6), '`shared` is 0.6.*more than 1 together'),
        (dict(shared=-0.1), 'must not be negative'),
        (dict(unique=dict(c=0.1)), r"`unique` names \['c'\], but `layers` names \['a', 'b'\]"),
        (dict(layers=dict(a=-1, b=0)), '`layers`'),
        (dict(classes=1), '`classes` >= 2'),
        (dict(dim=33), 'even `dim`'),
        (dict(dim=2), 'even `dim` >= `classes`'),
        (dict(signal=0.0), '`signal`'),
    ],
)
def test_bad_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        dataset(**options)

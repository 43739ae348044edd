"""Regions of labels and back, for the regions of each challenge."""

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmcggm.datasets.brats.label_conventions import CONVENTIONS
from mmcggm.datasets.brats.region_map import RegionMap

SCHEMES = {convention.name: convention.scheme for convention in CONVENTIONS.values()}
GLIOMA = RegionMap('gli2023')


def logits_of(values, regions=3):
    return torch.tensor(values, dtype=torch.float64).reshape(1, regions, -1)


def labels_of(region_map, logits):
    return region_map.label_logits(logits).argmax(1)


@given(name=st.sampled_from(sorted(SCHEMES)), data=st.data(), size=st.floats(1e-3, 10))
def test_labels_are_those_of_their_regions(name, data, size):
    region_map = RegionMap(name)
    assert region_map.labels == len(SCHEMES[name].classes) and region_map.fits(SCHEMES[name])
    labels = torch.tensor(data.draw(st.lists(st.integers(0, region_map.labels - 1), min_size=8, max_size=8)))
    labels = labels.reshape(2, 2, 2)
    masks = region_map.masks(labels)
    assert masks.shape == (2, len(region_map), 2, 2)
    for mask, members in zip(masks.unbind(1), region_map.regions.values(), strict=True):
        assert torch.equal(mask, torch.isin(labels, torch.tensor(members)))
    assert torch.equal(labels_of(region_map, masks.double() * 2 * size - size), labels)


sevenths = st.integers(-7, 7).filter(bool).map(lambda x: x / 7)


@given(values=st.lists(sevenths, min_size=3, max_size=3))
def test_regions_of_the_labels_are_nested_and_those_above_one_half_where_these_are(values):
    logits = logits_of(values)
    whole, core, enhancing = GLIOMA.masks(labels_of(GLIOMA, logits))[0]
    assert (core <= whole).all() and (enhancing <= core).all()
    above = [value > 0 for value in values]
    if above == sorted(above, reverse=True):
        assert [whole.item(), core.item(), enhancing.item()] == above


@given(values=st.lists(sevenths, min_size=3, max_size=3))
def test_labels_have_the_probabilities_of_their_regions_together(values):
    logits = logits_of(values)
    p = logits.sigmoid()
    masks = GLIOMA.masks(torch.arange(4).reshape(4, 1))
    together = torch.where(masks, p, 1 - p).prod(1)
    found = GLIOMA.label_logits(logits).softmax(1)[0]
    torch.testing.assert_close(found, together / together.sum(0))


def test_a_conflict_goes_to_the_most_probable_label():
    logit = torch.tensor([[0.1, 0.2, 0.9], [0.4, 0.6, 0.9], [0.9, 0.2, 0.9]]).logit()
    found = [labels_of(GLIOMA, logits_of(row.tolist())).item() for row in logit]
    assert found == [0, 3, 3]  # of the last, 0.9 · 0.2 · 0.9 for ET, and 0.9 · 0.8 · 0.1 for edema


@pytest.mark.parametrize(
    ('regions', 'message'),
    [
        ('gli2022', r"There is no label convention 'gli2022'; choose one of gli2021.*dict\(WT=\(1, 2, 3\)"),
        (dict(WT=(1, 2, 3)), 'labels 1 and 2 both lie in WT and in no other region'),
        (dict(WT=(1, 2, 3), TC=(1, 3)), 'labels 1 and 3 both lie in WT, TC'),
        (dict(WT=(1, 3)), r'without a gap.*holds \[1, 3\]'),
        (dict(ALL=(0, 1)), r'not the background 0.*holds \[0, 1\]'),
        ({}, r'holds \[\]'),
    ],
)
def test_regions_that_tell_no_labels_are_refused(regions, message):
    with pytest.raises(ValueError, match=rf'(?s)^`here`.*{message}'):
        RegionMap(regions, 'here')


def test_what_differs_from_the_data_is_said():
    treated, children = SCHEMES['gli2024'], SCHEMES['ped2024']
    assert GLIOMA.misfit(4, dict(WT=[1, 2, 3], other=(1,))) is None
    assert 'tells 4 classes apart' in GLIOMA.misfit(5, treated.regions)
    found = RegionMap(dict(WT=(1, 2, 3, 4), TC=(1, 3), ET=(3,), X=(4,))).misfit(5, children.regions)
    assert re.search(r'TC = 1\+3, .* but in the data TC = 1\+2\+3\.', found)

"""A batch that was read together is what stacking its items gives."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.dataset import default_collate

from mmcggm.datasets import FeatureDataset, collate_features
from mmcggm.datasets.readers.batch import FeatureBatch
from mmcggm.structures.nested import map_tensors

ROWS = 7


@pytest.fixture(scope='module')
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp('batch')
    draw = np.random.default_rng(0)
    arrays = dict(vector=draw.normal(size=(ROWS, 3)), sequence=draw.normal(size=(ROWS, 4, 2)))
    lengths = draw.integers(1, 5, ROWS)
    for sequence, length in zip(arrays['sequence'], lengths, strict=True):
        sequence[length:] = 0
    np.savez(folder / 'all.npz', **arrays, lengths=lengths, label=np.arange(ROWS) % 2)
    return FeatureDataset(
        dict(vector='all.npz:vector', sequence='all.npz:sequence'),
        'all.npz:label',
        lengths=dict(sequence='all.npz:lengths'),
        classes=2,
        data_root=str(folder),
    )


def flat(batch) -> list[torch.Tensor]:
    tensors: list[torch.Tensor] = []
    map_tensors(tensors.append, batch)
    return tensors


@given(indices=st.lists(st.integers(0, ROWS - 1), min_size=1, max_size=9))
def test_it_equals_the_stacked_items_whoever_stacks_them(found, indices):
    batch = found.__getitems__(indices)
    together = flat(collate_features(batch))
    assert len(batch) == len(indices) and len(together) == 4
    for stacked in (default_collate(batch), collate_features([found[i] for i in indices])):
        assert all(torch.equal(a, b) for a, b in zip(together, flat(stacked), strict=True))


def test_it_is_a_sequence():
    batch = FeatureBatch(dict(inputs=dict(a=torch.arange(3))), 3)
    assert [item['inputs']['a'].item() for item in batch] == [0, 1, 2]
    assert batch[-1]['inputs']['a'] == 2 and len(batch[1:]) == 2
    with pytest.raises(IndexError, match='3 items, there is none at 3'):
        batch[3]

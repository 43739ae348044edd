"""Samples of any data set as pictures."""

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmcggm.visualization.samples import draw_sample


def titles(figure):
    return [ax.get_title().split()[0] for ax in figure.axes]


def test_slices_with_their_segmentation():
    sample = dict(
        inputs=dict(flair=torch.randn(1, 16, 20), t1=torch.randn(1, 16, 20)),
        data_samples=SegDataSample(gt_sem_seg=PixelData(data=torch.ones(1, 16, 20, dtype=torch.long))),
    )
    figure = draw_sample(sample)
    assert titles(figure) == ['inputs.flair', 'inputs.t1']
    assert [len(ax.images) for ax in figure.axes] == [2, 2]  # the slice, and the mask on it


def test_sequences_vectors_and_labels():
    sample = dict(
        inputs=dict(text=torch.randn(9, 6), audio=torch.randn(5), photo=torch.rand(3, 12, 12)),
        label=torch.tensor(1),
        id='clip7',
    )
    figure = draw_sample(sample, classes=('no', 'yes'))
    assert titles(figure) == ['inputs.text', 'inputs.audio', 'inputs.photo']
    sequence, vector, photo = figure.axes
    assert sequence.images[0].get_array().shape == (6, 9) and sequence.get_xlabel() == 'position'
    assert len(vector.lines) == 1 and photo.images[0].get_array().shape == (12, 12, 3)
    assert '1 (yes)' in figure.get_suptitle() and 'clip7' in figure.get_suptitle()


def test_nothing_to_draw():
    with pytest.raises(ValueError, match="no array to draw, but \\['label'\\]"):
        draw_sample(dict(label=1))

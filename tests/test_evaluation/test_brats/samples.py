"""Data samples as MMEngine hands them to a metric."""

import numpy as np
import torch


def make_sample(case, pred, truth=None, spacing=(1.0, 1.0, 1.0), **metainfo):
    sample = dict(case=case, spacing=spacing, pred_sem_seg=dict(data=torch.from_numpy(pred)), **metainfo)
    if truth is not None:
        sample['gt_sem_seg'] = dict(data=torch.from_numpy(truth))
    return sample


def cube(label, start, side, shape=(24, 24, 24)):
    """Return labels (D, H, W) that hold a cube from voxel ``start`` on."""
    labels = np.zeros(shape, dtype=np.uint8)
    labels[tuple(slice(first, first + side) for first in start)] = label
    return labels

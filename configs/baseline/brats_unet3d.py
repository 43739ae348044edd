"""Joint training of a 3D U-Net on BraTS, without balancing."""

_base_ = [
    '../_base_/models/brats_unet3d.py',
    '../_base_/datasets/brats3d.py',
    '../_base_/schedules/brats3d_300e.py',
    '../_base_/default_runtime.py',
]

"""Joint training of a 3D U-Net on BraTS, small enough for a CPU, without balancing."""

_base_ = [
    '../_base_/models/brats_unet3d_small.py',
    '../_base_/datasets/brats3d_small.py',
    '../_base_/schedules/brats3d_small.py',
    '../_base_/default_runtime.py',
]

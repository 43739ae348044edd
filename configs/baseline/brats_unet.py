"""Joint training of a U-Net on BraTS, without balancing."""

_base_ = [
    '../_base_/models/brats_unet.py',
    '../_base_/datasets/brats.py',
    '../_base_/schedules/brats_75e.py',
    '../_base_/default_runtime.py',
]

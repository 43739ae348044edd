"""Joint training of the paper's network on BraTS, without balancing."""

_base_ = [
    '../_base_/models/brats_deeplabv3plus_r101.py',
    '../_base_/datasets/brats.py',
    '../_base_/schedules/brats_75e.py',
    '../_base_/default_runtime.py',
]

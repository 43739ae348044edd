"""Joint training of MONAI's SegResNet on BraTS, with all sequences as channels."""

_base_ = [
    '../_base_/models/brats_segresnet3d.py',
    '../_base_/datasets/brats3d.py',
    '../_base_/schedules/brats3d_300e.py',
    '../_base_/default_runtime.py',
]

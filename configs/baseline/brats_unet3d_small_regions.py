"""``brats_unet3d_small.py`` on the regions WT, TC and ET by sigmoid, instead of on labels by softmax."""

_base_ = ['./brats_unet3d_small.py', '../_base_/losses/brats_regions.py']

model = dict(decode_head=dict(num_classes=3, loss_decode=dict(_delete_=True, **_base_.region_loss)))

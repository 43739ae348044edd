"""Multi-loss on a U-Net on BraTS: each encoder also learns from its guide."""

_base_ = ['../_base_/guided/brats_unet.py']

optim_wrapper = dict(balancer=dict(type='MultiLoss'))
custom_hooks = [dict(type='BalancingHook')]

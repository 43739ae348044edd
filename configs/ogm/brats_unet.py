"""OGM on a U-Net on BraTS, with the α that the authors take as default.

It acts in the first half of the training, as its authors' does.
"""

_base_ = ['../_base_/guided/brats_unet.py']

optim_wrapper = dict(balancer=dict(type='OGM', alpha=0.1, enhance=False))
custom_hooks = [dict(type='BalancingHook', end=0.5)]

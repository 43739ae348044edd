"""AGM on a U-Net on BraTS, with the α that the authors name for three modalities.

Four modalities: fourteen masked passes a step, and their memory.
It acts in the first fifth of the training, as its authors' does.
"""

_base_ = ['../_base_/guided/brats_unet.py']

optim_wrapper = dict(balancer=dict(type='AGM', alpha=4.0))
custom_hooks = [dict(type='BalancingHook', end=0.2)]

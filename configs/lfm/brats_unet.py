"""LFM on a U-Net on BraTS, with the heuristic schedule and the contrastive loss of six pairs.

Slices are matched by the coarsest level of each encoder, averaged over positions.
"""

_base_ = ['../_base_/guided/brats_unet.py']

optim_wrapper = dict(balancer=dict(type='LFM', matching='contrastive'))
custom_hooks = [dict(type='BalancingHook')]

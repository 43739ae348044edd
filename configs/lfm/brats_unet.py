"""LFM on a U-Net on BraTS, with the heuristic schedule and the contrastive loss of six pairs.

Slices are matched by the coarsest level of each encoder, averaged over positions.
"""

_base_ = ['../cggm/brats_unet.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='LFM', matching='contrastive'))

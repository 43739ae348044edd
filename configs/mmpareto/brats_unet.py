"""MMPareto on a U-Net on BraTS, with the published γ = 1.5."""

_base_ = ['../cggm/brats_unet.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='MMPareto', gamma=1.5))

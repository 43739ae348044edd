"""OGM on a U-Net on BraTS, with the α that the authors take as default."""

_base_ = ['../cggm/brats_unet.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='OGM', alpha=0.1, enhance=False))

"""OGM-GE: ``brats_unet.py`` with noise on the encoders' gradients."""

_base_ = ['./brats_unet.py']

optim_wrapper = dict(balancer=dict(enhance=True))

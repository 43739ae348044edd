"""Training on BraTS with t1ce alone, in the U-Net of all sequences."""

_base_ = ['../cggm/brats_unet.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='SingleModality', modality='t1ce'))

"""CGGM on a U-Net on BraTS as published: step-wise, ρ = 1.0, λ = 0.1.

To compare with the published method; to train a model take ``brats_unet.py``.
"""

_base_ = ['../_base_/guided/brats_unet.py']

optim_wrapper = dict(balancer=dict(type='CGGM', rho=1.0, lam=0.1))
custom_hooks = [dict(type='BalancingHook')]

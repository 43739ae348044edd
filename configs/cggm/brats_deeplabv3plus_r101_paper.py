"""CGGM on the paper's network on BraTS as published: step-wise, ρ = 1.0, λ = 0.1.

To reproduce the paper; to train a model take ``brats_deeplabv3plus_r101.py``.
"""

_base_ = ['../_base_/guided/brats_deeplabv3plus_r101.py']

optim_wrapper = dict(balancer=dict(type='CGGM', rho=1.0, lam=0.1))
custom_hooks = [dict(type='BalancingHook')]

"""CGGM on a U-Net on BraTS, with the published settings of the method: ρ = 1.0, λ = 0.1, B without bounds.

`progress=dict(type='SmoothedProgress')`, as in the demo, keeps B in [0, 1] (see docs/cggm.md).
"""

_base_ = ['../_base_/guided/brats_unet.py']

optim_wrapper = dict(balancer=dict(type='CGGM', rho=1.0, lam=0.1))
custom_hooks = [dict(type='BalancingHook')]

"""CGGM on cached features of UPMC Food-101 as published: step-wise, ρ = 1.3, λ = 0.05.

To compare with the published method; to train a model take ``food101_cached.py``.
"""

_base_ = ['../_base_/guided/food101_cached.py']

optim_wrapper = dict(balancer=dict(type='CGGM', rho=1.3, lam=0.05))
custom_hooks = [dict(type='BalancingHook')]

"""CGGM on the paper's model on UPMC Food-101 as published: step-wise, ρ = 1.3, λ = 0.05.

To reproduce the paper; to train a model take ``food101.py``.
"""

_base_ = ['../_base_/guided/food101.py']

optim_wrapper = dict(balancer=dict(type='CGGM', rho=1.3, lam=0.05))
custom_hooks = [dict(type='BalancingHook')]

"""CGGM on the paper's model on IEMOCAP as published: step-wise, ρ = 1.3, λ = 0.2.

To reproduce the paper; to train a model take ``iemocap.py``.
"""

_base_ = ['../_base_/guided/iemocap.py']

optim_wrapper = dict(balancer=dict(type='CGGM', rho=1.3, lam=0.2))
custom_hooks = [dict(type='BalancingHook')]

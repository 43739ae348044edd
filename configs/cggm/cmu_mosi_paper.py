"""CGGM on the paper's model on CMU-MOSI as published: step-wise, ρ = 1.3, λ = 0.2.

To reproduce the paper; to train a model take ``cmu_mosi.py``.
"""

_base_ = ['../_base_/guided/cmu_mosi.py']

optim_wrapper = dict(balancer=dict(type='CGGM', rho=1.3, lam=0.2))
custom_hooks = [dict(type='BalancingHook')]

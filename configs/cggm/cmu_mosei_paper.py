"""CGGM on the paper's model of CMU-MOSI on CMU-MOSEI as published for CMU-MOSI: step-wise, ρ = 1.3, λ = 0.2.

To compare with the published method; to train a model take ``cmu_mosei.py``.
"""

_base_ = ['../_base_/guided/cmu_mosei.py']

optim_wrapper = dict(balancer=dict(type='CGGM', rho=1.3, lam=0.2))
custom_hooks = [dict(type='BalancingHook')]

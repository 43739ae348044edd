"""CGGM on UCI Multiple Features as the paper has it: step-wise, λ = 0.2.

To compare with the published method; to train a model take ``mfeat.py``. ρ = M / (M - 1) = 1.2 changes
nothing where all six views progress equally.
"""

_base_ = ['../_base_/guided/mfeat.py']

optim_wrapper = dict(balancer=dict(type='CGGM', rho='neutral', lam=0.2))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]

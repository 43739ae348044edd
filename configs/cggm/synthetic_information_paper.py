"""CGGM on the synthetic family as the paper has it: step-wise, λ = 0.2.

To compare with the published method; to train a model take ``synthetic_information.py``.
"""

_base_ = ['../_base_/guided/synthetic_information.py']

optim_wrapper = dict(balancer=dict(type='CGGM', rho='neutral', lam=0.2))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook', control=True)]

"""CGGM on spoken and handwritten digits as the paper has it: step-wise, λ = 0.2.

To compare with the published method; to train a model take ``av_digits.py``. ρ = 2 changes nothing where both
modalities progress equally; the published 1.3 would shrink the encoders' learning rate to 0.65 there.
"""

_base_ = ['../_base_/guided/av_digits.py']

optim_wrapper = dict(balancer=dict(type='CGGM', rho=2.0, lam=0.2))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]

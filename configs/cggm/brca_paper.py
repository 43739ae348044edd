"""CGGM on TCGA-BRCA as the paper has it: step-wise, λ = 0.2.

To compare with the published method; to train a model take ``brca.py``. ρ = M / (M - 1) = 1.5 changes
nothing where all three omics progress equally.
"""

_base_ = ['../_base_/guided/brca.py']

optim_wrapper = dict(balancer=dict(type='CGGM', rho='neutral', lam=0.2))
custom_hooks = [dict(type='BalancingHook'), dict(type='StandardisationHook'), dict(type='GuideScoreHook')]

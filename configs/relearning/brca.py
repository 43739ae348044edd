"""ReLearning on TCGA-BRCA, with the authors' λ.

They re-learn three times in 90 epochs, every 20; every quarter of the training is about the same share.
"""

_base_ = ['../_base_/guided/brca.py']

optim_wrapper = dict(balancer=dict(type='ReLearning', lam=3.0, interval=1 / 4, times=3))
custom_hooks = [dict(type='BalancingHook'), dict(type='StandardisationHook'), dict(type='GuideScoreHook')]

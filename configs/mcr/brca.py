"""MCR on TCGA-BRCA.

With three omics a step reruns fusion four times.
"""

_base_ = ['../_base_/guided/brca.py']

optim_wrapper = dict(balancer=dict(type='MCR'))
custom_hooks = [dict(type='BalancingHook'), dict(type='StandardisationHook'), dict(type='GuideScoreHook')]

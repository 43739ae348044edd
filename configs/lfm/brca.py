"""LFM on TCGA-BRCA, with the heuristic schedule.

The encoders have one width, so what is matched are representations, as in the paper.
"""

_base_ = ['../_base_/guided/brca.py']

optim_wrapper = dict(balancer=dict(type='LFM', matching='contrastive'))
custom_hooks = [dict(type='BalancingHook'), dict(type='StandardisationHook'), dict(type='GuideScoreHook')]

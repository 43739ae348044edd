"""CML on TCGA-BRCA, with BalanceBenchmark's λ: 0.1, of a sum over 64 samples."""

_base_ = ['../_base_/guided/brca.py']

optim_wrapper = dict(balancer=dict(type='CML', lam=6.4))
custom_hooks = [dict(type='BalancingHook'), dict(type='StandardisationHook'), dict(type='GuideScoreHook')]

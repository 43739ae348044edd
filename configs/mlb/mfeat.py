"""MLB on UCI Multiple Features, with the authors' α."""

_base_ = ['../_base_/guided/mfeat.py']

optim_wrapper = dict(balancer=dict(type='MLB', alpha=0.8))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]

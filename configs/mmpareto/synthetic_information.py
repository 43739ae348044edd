"""MMPareto on the synthetic family, with the published γ = 1.5."""

_base_ = ['../_base_/guided/synthetic_information.py']

optim_wrapper = dict(balancer=dict(type='MMPareto', gamma=1.5))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook', control=True)]

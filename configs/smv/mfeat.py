"""Sample-level modality valuation on UCI Multiple Features.

It begins after the first epoch of 12, about the published share. Each update values all 64 subsets of the
views.
"""

_base_ = ['../_base_/guided/mfeat.py']

optim_wrapper = dict(balancer=dict(type='SMV', level='sample'))
custom_hooks = [dict(type='BalancingHook', begin=1 / 12), dict(type='GuideScoreHook')]

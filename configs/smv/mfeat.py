"""Sample-level modality valuation on UCI Multiple Features.

It begins after the first epoch of 12, about the published share. Each update values all 64 subsets of the
views.
"""

_base_ = ['../cggm/mfeat.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='SMV', level='sample'))
custom_hooks = [dict(type='CGGMHook', begin=1), dict(type='GuideScoreHook')]

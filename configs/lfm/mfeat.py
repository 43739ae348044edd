"""LFM on UCI Multiple Features, with the heuristic schedule.

What is matched are the guides' predictions, as in the authors' code.
"""

_base_ = ['../_base_/guided/mfeat.py']

optim_wrapper = dict(balancer=dict(type='LFM', matching='divergence'))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]

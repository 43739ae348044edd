"""Greedy on UCI Multiple Features, with the settings of the authors' code.

It begins after the first epoch, as in the authors' code.
"""

_base_ = ['../cggm/mfeat.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='Greedy', epsilon=0.01, window=5))
custom_hooks = [dict(type='CGGMHook', begin=1), dict(type='GuideScoreHook')]

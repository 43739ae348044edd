"""MSES on UCI Multiple Features, with a patience of ours, since the paper's isn't known to us."""

_base_ = ['../cggm/mfeat.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='MSES', patience=3))
custom_hooks = [dict(type='CGGMHook'), dict(type='GuideScoreHook')]

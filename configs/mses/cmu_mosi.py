"""MSES on the paper's model on CMU-MOSI, with a patience of ours, since the paper's isn't known to us."""

_base_ = ['../cggm/cmu_mosi.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='MSES', patience=3))
custom_hooks = [dict(type='CGGMHook'), dict(type='GuideScoreHook')]

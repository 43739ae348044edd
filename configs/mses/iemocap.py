"""MSES on the paper's model on IEMOCAP, with a patience of ours, since the paper's isn't known to us."""

_base_ = ['../_base_/guided/iemocap.py']

optim_wrapper = dict(balancer=dict(type='MSES', patience=3))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]

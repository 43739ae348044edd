"""LFM on IEMOCAP, with the heuristic schedule and the paper's contrastive loss, of three pairs."""

_base_ = ['../_base_/guided/iemocap.py']

optim_wrapper = dict(balancer=dict(type='LFM', matching='contrastive'))
custom_hooks = [dict(type='BalancingHook')]

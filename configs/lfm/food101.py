"""LFM on UPMC Food-101, with the heuristic schedule and the paper's contrastive loss."""

_base_ = ['../_base_/guided/food101.py']

optim_wrapper = dict(balancer=dict(type='LFM', matching='contrastive'))
custom_hooks = [dict(type='BalancingHook')]

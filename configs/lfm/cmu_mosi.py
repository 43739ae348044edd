"""LFM on CMU-MOSI, with the heuristic schedule and the contrastive loss, which needs no classes."""

_base_ = ['../_base_/guided/cmu_mosi.py']

optim_wrapper = dict(balancer=dict(type='LFM', matching='contrastive'))
custom_hooks = [dict(type='BalancingHook')]

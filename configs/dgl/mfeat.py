"""DGL on UCI Multiple Features, with unimodal losses from the guides."""

_base_ = ['../_base_/guided/mfeat.py']

optim_wrapper = dict(balancer=dict(type='DGL'))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]

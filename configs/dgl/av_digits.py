"""DGL on spoken and handwritten digits, with unimodal losses from the guides."""

_base_ = ['../_base_/guided/av_digits.py']

optim_wrapper = dict(balancer=dict(type='DGL'))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]

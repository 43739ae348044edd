"""PDMP on spoken and handwritten digits, where audio is the better modality alone: a control."""

_base_ = ['../_base_/guided/av_digits.py']

optim_wrapper = dict(balancer=dict(type='PDMP', dominant='audio'))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]

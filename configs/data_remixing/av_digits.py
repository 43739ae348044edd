"""Data Remixing on spoken and handwritten digits, with the authors' warm-up: a sixth of the training."""

_base_ = ['../_base_/guided/av_digits.py']

optim_wrapper = dict(balancer=dict(type='DataRemixing'))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]

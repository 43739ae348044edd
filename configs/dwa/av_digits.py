"""Dynamic Weight Average of the fused and the unimodal losses on spoken and handwritten digits."""

_base_ = ['../_base_/guided/av_digits.py']

optim_wrapper = dict(balancer=dict(type='DWA', temperature=2.0))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]

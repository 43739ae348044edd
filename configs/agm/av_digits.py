"""AGM on spoken and handwritten digits, with the α that the authors name for AV-MNIST, digits as well."""

_base_ = ['../_base_/guided/av_digits.py']

optim_wrapper = dict(balancer=dict(type='AGM', alpha=2.5))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]

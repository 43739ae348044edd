"""MLA on spoken and handwritten digits.

The baseline's fusion adds up, as MLA needs it. Two modalities take turns, so twice the epochs are as many
steps of an encoder as in the authors' code.
"""

_base_ = ['../_base_/guided/av_digits.py']

optim_wrapper = dict(balancer=dict(type='MLA'))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]
train_cfg = dict(max_epochs=24)

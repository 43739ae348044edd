"""Gradient-Blending on UPMC Food-101, online, with weights anew every ten epochs.

Validation steers the training, so it needs samples of its own: move a part of train.json to val.json.
"""

_base_ = ['../_base_/guided/food101.py']

val_dataloader = dict(dataset=dict(split='val'))
optim_wrapper = dict(balancer=dict(type='GradientBlending', super_epoch=10))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]

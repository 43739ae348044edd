"""MSLR on UPMC Food-101, with learning rates that follow the last five validations.

Validation steers the training, so it needs samples of its own: move a part of train.json to val.json.
"""

_base_ = ['../_base_/guided/food101.py']

val_dataloader = dict(dataset=dict(split='val'))
optim_wrapper = dict(balancer=dict(type='MSLR', strategy='dynamic', history=5))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]

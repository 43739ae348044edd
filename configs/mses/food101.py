"""MSES on UPMC Food-101, with a patience of ours, since the paper's isn't known to us.

Validation steers the training, so it needs samples of its own: move a part of train.json to val.json.
"""

_base_ = ['../_base_/guided/food101.py']

val_dataloader = dict(dataset=dict(split='val'))
optim_wrapper = dict(balancer=dict(type='MSES', patience=3))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]

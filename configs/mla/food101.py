"""MLA on UPMC Food-101, with fusion by addition, as MLA needs it.

Two modalities take turns, so twice the epochs are as many steps of an encoder as in the authors' code.
"""

_base_ = ['../_base_/guided/food101.py']

model = dict(model=dict(backbone=dict(fusion=dict(_delete_=True, type='SumFusion', dim=40))))
optim_wrapper = dict(balancer=dict(type='MLA'))
custom_hooks = [dict(type='BalancingHook')]
train_cfg = dict(max_epochs=120)

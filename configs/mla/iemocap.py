"""MLA on IEMOCAP, with fusion by addition, as MLA needs it.

Three modalities take turns, so three times the epochs are as many steps of an encoder as in the authors'
code.
"""

_base_ = ['../_base_/guided/iemocap.py']

model = dict(model=dict(backbone=dict(fusion=dict(_delete_=True, type='SumFusion', dim=40))))
optim_wrapper = dict(balancer=dict(type='MLA'))
custom_hooks = [dict(type='BalancingHook')]
train_cfg = dict(max_epochs=90)

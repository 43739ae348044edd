"""ReconBoost on IEMOCAP, with fusion by addition, as ReconBoost needs it.

An epoch of a turn and one of rectification follow each other, so twice the epochs rectify as long as the
baseline trains.
"""

_base_ = ['../_base_/guided/iemocap.py']

model = dict(model=dict(backbone=dict(fusion=dict(_delete_=True, type='SumFusion', dim=40))))
optim_wrapper = dict(balancer=dict(type='ReconBoost', lam=0.25, turn_epochs=1, rectify_epochs=1))
custom_hooks = [dict(type='BalancingHook')]
train_cfg = dict(max_epochs=60)

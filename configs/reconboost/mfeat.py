"""ReconBoost on UCI Multiple Features, with the authors' λ for CREMA-D.

An epoch of a turn and one of rectification follow each other. Of 72 epochs half rectify, and each view has
six turns of its own.
"""

_base_ = ['../_base_/guided/mfeat.py']

optim_wrapper = dict(balancer=dict(type='ReconBoost', lam=0.2, turn_epochs=1, rectify_epochs=1))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]
train_cfg = dict(max_epochs=72)

"""ReconBoost on TCGA-BRCA, with the authors' λ for CREMA-D.

An epoch of a turn and one of rectification follow each other. Twice the epochs rectify as long as the
baseline trains.
"""

_base_ = ['../_base_/guided/brca.py']

optim_wrapper = dict(balancer=dict(type='ReconBoost', lam=0.2, turn_epochs=1, rectify_epochs=1))
custom_hooks = [dict(type='BalancingHook'), dict(type='StandardisationHook'), dict(type='GuideScoreHook')]
train_cfg = dict(max_epochs=60)

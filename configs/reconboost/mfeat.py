"""ReconBoost on UCI Multiple Features, with the authors' λ for CREMA-D.

An epoch of a turn and one of rectification follow each other. Of 72 epochs half rectify, and each view has
six turns of its own.
"""

_base_ = ['../cggm/mfeat.py']

optim_wrapper = dict(
    balancer=dict(_delete_=True, type='ReconBoost', lam=0.2, turn_epochs=1, rectify_epochs=1)
)
train_cfg = dict(max_epochs=72)

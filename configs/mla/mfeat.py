"""MLA on UCI Multiple Features.

The baseline's fusion adds up, as MLA needs it. Six views take turns, so six times the epochs are as many
steps of an encoder as in the authors' code.
"""

_base_ = ['../cggm/mfeat.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='MLA'))
train_cfg = dict(max_epochs=72, val_interval=6)

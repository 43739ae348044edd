"""MLA on spoken and handwritten digits.

The baseline's fusion adds up, as MLA needs it. Two modalities take turns, so twice the epochs are as many
steps of an encoder as in the authors' code.
"""

_base_ = ['../cggm/av_digits.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='MLA'))
train_cfg = dict(max_epochs=24)

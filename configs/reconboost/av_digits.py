"""ReconBoost on spoken and handwritten digits, with the authors' λ for CREMA-D.

The baseline's fusion adds up, as ReconBoost needs it. An epoch of a turn and one of rectification follow each
other, where the authors have four and four in some hundred stages; so twice the epochs rectify as long as the
baseline trains.
"""

_base_ = ['../_base_/guided/av_digits.py']

optim_wrapper = dict(balancer=dict(type='ReconBoost', lam=0.2, turn_epochs=1, rectify_epochs=1))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]
train_cfg = dict(max_epochs=24)

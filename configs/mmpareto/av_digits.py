"""MMPareto on spoken and handwritten digits, with the published γ = 1.5."""

_base_ = ['../cggm/av_digits.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='MMPareto', gamma=1.5))

"""MMPareto on UCI Multiple Features, with the published γ = 1.5."""

_base_ = ['../cggm/mfeat.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='MMPareto', gamma=1.5))

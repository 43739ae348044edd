"""MMPareto on UPMC Food-101, with the published γ = 1.5."""

_base_ = ['../cggm/food101.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='MMPareto', gamma=1.5))

"""AMCo on UCI Multiple Features, with BalanceBenchmark's σ and ε."""

_base_ = ['../cggm/mfeat.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='AMCo', sigma=0.5, eps=0.3))

"""AMCo on IEMOCAP, with BalanceBenchmark's σ and ε."""

_base_ = ['../_base_/guided/iemocap.py']

optim_wrapper = dict(balancer=dict(type='AMCo', sigma=0.5, eps=0.3))
custom_hooks = [dict(type='BalancingHook')]

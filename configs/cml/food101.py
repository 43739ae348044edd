"""CML on UPMC Food-101, with BalanceBenchmark's λ: 0.1, of a sum over 128 samples."""

_base_ = ['../_base_/guided/food101.py']

optim_wrapper = dict(balancer=dict(type='CML', lam=12.8))
custom_hooks = [dict(type='BalancingHook')]

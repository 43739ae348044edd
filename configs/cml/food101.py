"""CML on UPMC Food-101, with BalanceBenchmark's λ: 0.1, of a sum over 128 samples."""

_base_ = ['../cggm/food101.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='CML', lam=12.8))

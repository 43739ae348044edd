"""CML on UCI Multiple Features, with BalanceBenchmark's λ: 0.1, of a sum over 64 samples."""

_base_ = ['../cggm/mfeat.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='CML', lam=6.4))

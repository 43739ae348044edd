"""CGGM on UPMC Food-101 with the published settings: ρ = 1.3, λ = 0.05."""

_base_ = ['../_base_/guided/food101.py']

optim_wrapper = dict(balancer=dict(type='CGGM', rho=1.3, lam=0.05))
custom_hooks = [dict(type='BalancingHook')]

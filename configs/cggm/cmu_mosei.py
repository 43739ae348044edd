"""CGGM on the paper's model of CMU-MOSI on CMU-MOSEI, with the settings published for CMU-MOSI."""

_base_ = ['../_base_/guided/cmu_mosei.py']

optim_wrapper = dict(balancer=dict(type='CGGM', rho=1.3, lam=0.2))
custom_hooks = [dict(type='BalancingHook')]

"""CGGM on the paper's model of CMU-MOSI on CMU-MOSEI, with the settings that docs/cggm.md recommends."""

_base_ = ['../_base_/guided/cmu_mosei.py']

optim_wrapper = dict(
    balancer=dict(
        type='CGGM', rho='neutral', lam=0.0, progress=dict(type='SmoothedProgress'), magnitude='update'
    )
)
custom_hooks = [dict(type='BalancingHook')]

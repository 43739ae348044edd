"""CGGM on 100 Leaves, with B from smoothed progress, magnitude alone."""

_base_ = ['../_base_/guided/leaves100.py']

optim_wrapper = dict(
    balancer=dict(
        type='CGGM', rho='neutral', lam=0.0, progress=dict(type='SmoothedProgress'), magnitude='update'
    )
)
custom_hooks = [dict(type='BalancingHook'), dict(type='StandardisationHook'), dict(type='GuideScoreHook')]

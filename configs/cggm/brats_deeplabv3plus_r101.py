"""CGGM on the paper's network on BraTS, with the settings that docs/cggm.md recommends."""

_base_ = ['../_base_/guided/brats_deeplabv3plus_r101.py']

optim_wrapper = dict(
    balancer=dict(type='CGGM', rho='neutral', lam=0.0, progress=dict(type='SmoothedProgress'))
)
custom_hooks = [dict(type='BalancingHook')]

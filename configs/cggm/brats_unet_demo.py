"""The demo: ``brats_unet.py`` on the phantom, small enough for two CPU cores."""

_base_ = ['../_base_/guided/brats_unet_demo.py']

optim_wrapper = dict(
    balancer=dict(type='CGGM', rho='neutral', lam=0.0, progress=dict(type='SmoothedProgress'))
)
custom_hooks = [dict(type='BalancingHook')]

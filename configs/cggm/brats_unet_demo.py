"""The demo: ``brats_unet.py`` on the phantom, small enough for two CPU cores.

Progress is that of smoothed scores, since the scores of four slices are noise.
"""

_base_ = ['../_base_/guided/brats_unet_demo.py']

optim_wrapper = dict(balancer=dict(type='CGGM', rho=1.0, lam=0.1, progress=dict(type='SmoothedProgress')))
custom_hooks = [dict(type='BalancingHook')]

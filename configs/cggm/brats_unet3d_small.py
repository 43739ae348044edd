"""CGGM on a 3D U-Net on BraTS, small enough for a CPU, with the settings that docs/cggm.md recommends."""

_base_ = ['../_base_/guided/brats_unet3d_small.py']

optim_wrapper = dict(
    balancer=dict(type='CGGM', rho='neutral', lam=0.0, progress=dict(type='SmoothedProgress'))
)
custom_hooks = [dict(type='BalancingHook')]

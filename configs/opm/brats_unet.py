"""OPM on a U-Net on BraTS, with the settings of the authors' code.

It begins after the first 5 epochs of 75, about the published share.
"""

_base_ = ['../_base_/guided/brats_unet.py']

optim_wrapper = dict(balancer=dict(type='OPM', q_base=0.5, lam=0.5, p_exe=0.7))
custom_hooks = [dict(type='BalancingHook', begin=5 / 75)]

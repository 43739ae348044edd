"""OPM on UPMC Food-101, with the settings of the authors' code.

It begins after the first 4 epochs of 60, about the published share.
"""

_base_ = ['../_base_/guided/food101.py']

optim_wrapper = dict(balancer=dict(type='OPM', q_base=0.5, lam=0.5, p_exe=0.7))
custom_hooks = [dict(type='BalancingHook', begin=4 / 60)]

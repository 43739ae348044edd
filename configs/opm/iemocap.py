"""OPM on IEMOCAP, with the settings of the authors' code.

It begins after the first 2 epochs of 30, about the published share.
"""

_base_ = ['../_base_/guided/iemocap.py']

optim_wrapper = dict(balancer=dict(type='OPM', q_base=0.5, lam=0.5, p_exe=0.7))
custom_hooks = [dict(type='BalancingHook', begin=2 / 30)]

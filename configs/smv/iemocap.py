"""Sample-level modality valuation on IEMOCAP, with the authors' numbers of copies.

It begins after the first 3 epochs of 30, about the published share.
"""

_base_ = ['../_base_/guided/iemocap.py']

optim_wrapper = dict(balancer=dict(type='SMV', level='sample'))
custom_hooks = [dict(type='BalancingHook', begin=3 / 30)]

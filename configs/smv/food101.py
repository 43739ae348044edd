"""Sample-level modality valuation on UPMC Food-101, with the authors' numbers of copies.

It begins after the first 5 epochs of 60, about the published share.
"""

_base_ = ['../_base_/guided/food101.py']

optim_wrapper = dict(balancer=dict(type='SMV', level='sample'))
custom_hooks = [dict(type='BalancingHook', begin=5 / 60)]

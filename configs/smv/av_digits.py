"""Sample-level modality valuation on spoken and handwritten digits, with the authors' numbers of copies.

It begins after the first epoch of 12, about the published share.
"""

_base_ = ['../_base_/guided/av_digits.py']

optim_wrapper = dict(balancer=dict(type='SMV', level='sample'))
custom_hooks = [dict(type='BalancingHook', begin=1 / 12), dict(type='GuideScoreHook')]

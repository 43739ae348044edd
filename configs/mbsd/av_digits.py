"""MBSD on spoken and handwritten digits."""

_base_ = ['../cggm/av_digits.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='MBSD'))

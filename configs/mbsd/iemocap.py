"""MBSD on IEMOCAP."""

_base_ = ['../cggm/iemocap.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='MBSD'))

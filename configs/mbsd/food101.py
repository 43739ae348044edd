"""MBSD on UPMC Food-101."""

_base_ = ['../cggm/food101.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='MBSD'))

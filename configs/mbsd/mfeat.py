"""MBSD on UCI Multiple Features."""

_base_ = ['../cggm/mfeat.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='MBSD'))

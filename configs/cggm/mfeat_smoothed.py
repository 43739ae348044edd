"""CGGM with B from smoothed progress, magnitude alone."""

_base_ = ['./mfeat.py']

optim_wrapper = dict(balancer=dict(progress=dict(type='SmoothedProgress'), lam=0.0))

"""CGGM with B from smoothed progress, magnitude alone."""

_base_ = ['./av_digits.py']

optim_wrapper = dict(balancer=dict(progress=dict(type='SmoothedProgress'), lam=0.0))

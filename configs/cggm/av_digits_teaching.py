"""CGGM with B from smoothed progress, whose guides also teach their encoders (ours)."""

_base_ = ['./av_digits.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='TeachingCGGM'))

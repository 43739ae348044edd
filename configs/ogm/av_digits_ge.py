"""OGM-GE: ``av_digits.py`` with noise on the encoders' gradients."""

_base_ = ['./av_digits.py']

optim_wrapper = dict(balancer=dict(enhance=True))

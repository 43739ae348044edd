"""OGM-GE: ``food101.py`` with noise on the encoders' gradients."""

_base_ = ['./food101.py']

optim_wrapper = dict(balancer=dict(enhance=True))

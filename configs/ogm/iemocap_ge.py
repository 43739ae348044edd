"""OGM-GE: ``iemocap.py`` with noise on the encoders' gradients."""

_base_ = ['./iemocap.py']

optim_wrapper = dict(balancer=dict(enhance=True))

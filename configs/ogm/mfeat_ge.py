"""OGM-GE: ``mfeat.py`` with noise on the encoders' gradients."""

_base_ = ['./mfeat.py']

optim_wrapper = dict(balancer=dict(enhance=True))

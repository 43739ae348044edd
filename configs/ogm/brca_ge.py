"""OGM-GE: ``brca.py`` with noise on the encoders' gradients."""

_base_ = ['./brca.py']

optim_wrapper = dict(balancer=dict(enhance=True))

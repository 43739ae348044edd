"""OGM on spoken and handwritten digits, with the α that the authors recommend for CREMA-D."""

_base_ = ['../cggm/av_digits.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='OGM', alpha=0.8, enhance=False))

"""OGM on UCI Multiple Features, with the α that the authors recommend for CREMA-D."""

_base_ = ['../cggm/mfeat.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='OGM', alpha=0.8, enhance=False))

"""OGM on IEMOCAP, with the α that the authors recommend for CREMA-D, emotions as well."""

_base_ = ['../cggm/iemocap.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='OGM', alpha=0.8, enhance=False))

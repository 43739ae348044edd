"""OGM on UPMC Food-101, with the α that the authors recommend for VGGSound, of many classes as well."""

_base_ = ['../cggm/food101.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='OGM', alpha=0.1, enhance=False))

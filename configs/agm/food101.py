"""AGM on UPMC Food-101, with the α that the authors name for CREMA-D."""

_base_ = ['../cggm/food101.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='AGM', alpha=1.5))

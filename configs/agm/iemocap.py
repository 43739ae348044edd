"""AGM on IEMOCAP, with the α that the authors name for UR-Funny, of the same three modalities."""

_base_ = ['../cggm/iemocap.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='AGM', alpha=4.0))

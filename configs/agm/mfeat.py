"""AGM on UCI Multiple Features, with the α that the authors name for AV-MNIST, digits as well.

Six views are 62 more passes a step.
"""

_base_ = ['../cggm/mfeat.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='AGM', alpha=2.5))

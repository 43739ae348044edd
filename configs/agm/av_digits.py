"""AGM on spoken and handwritten digits, with the α that the authors name for AV-MNIST, digits as well."""

_base_ = ['../cggm/av_digits.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='AGM', alpha=2.5))

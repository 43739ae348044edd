"""LFM on spoken and handwritten digits, with the heuristic schedule.

The encoders differ in width, so what is matched are the guides' predictions, as in the authors' code.
"""

_base_ = ['../cggm/av_digits.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='LFM', matching='divergence'))

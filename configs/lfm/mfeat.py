"""LFM on UCI Multiple Features, with the heuristic schedule.

What is matched are the guides' predictions, as in the authors' code.
"""

_base_ = ['../cggm/mfeat.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='LFM', matching='divergence'))

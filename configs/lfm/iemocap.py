"""LFM on IEMOCAP, with the heuristic schedule and the paper's contrastive loss, of three pairs."""

_base_ = ['../cggm/iemocap.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='LFM', matching='contrastive'))

"""LFM on UPMC Food-101, with the heuristic schedule and the paper's contrastive loss."""

_base_ = ['../cggm/food101.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='LFM', matching='contrastive'))

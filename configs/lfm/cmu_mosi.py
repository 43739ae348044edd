"""LFM on CMU-MOSI, with the heuristic schedule and the contrastive loss, which needs no classes."""

_base_ = ['../cggm/cmu_mosi.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='LFM', matching='contrastive'))

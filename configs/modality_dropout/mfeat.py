"""Modality dropout on UCI Multiple Features: each sample loses each view with probability 0.3."""

_base_ = ['../_base_/guided/mfeat.py']

optim_wrapper = dict(balancer=dict(type='ModalityDropout', p=0.3))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]

"""Modality dropout on spoken and handwritten digits: each sample loses each modality with probability 0.3."""

_base_ = ['../_base_/guided/av_digits.py']

optim_wrapper = dict(balancer=dict(type='ModalityDropout', p=0.3))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]

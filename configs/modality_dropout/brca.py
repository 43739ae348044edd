"""Modality dropout on TCGA-BRCA: each patient loses each omics with probability 0.3."""

_base_ = ['../_base_/guided/brca.py']

optim_wrapper = dict(balancer=dict(type='ModalityDropout', p=0.3))
custom_hooks = [dict(type='BalancingHook'), dict(type='StandardisationHook'), dict(type='GuideScoreHook')]

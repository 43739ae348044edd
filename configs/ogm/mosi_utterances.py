"""OGM on CMU-MOSI's utterances, with the α that the authors recommend for CREMA-D."""

_base_ = ['../_base_/guided/mosi_utterances.py']

optim_wrapper = dict(balancer=dict(type='OGM', alpha=0.8, enhance=False))
custom_hooks = [dict(type='BalancingHook'), dict(type='StandardisationHook'), dict(type='GuideScoreHook')]

"""Training on UCI Multiple Features with mor alone, in the model of all views."""

_base_ = ['../cggm/mfeat.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='SingleModality', modality='mor'))

"""Training on UPMC Food-101 with text alone, in the model of all modalities."""

_base_ = ['../cggm/food101.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='SingleModality', modality='text'))

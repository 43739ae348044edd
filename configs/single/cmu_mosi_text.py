"""Training on CMU-MOSI with text alone, in the model of all modalities."""

_base_ = ['../cggm/cmu_mosi.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='SingleModality', modality='text'))

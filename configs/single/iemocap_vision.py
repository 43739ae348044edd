"""Training on IEMOCAP with vision alone, in the model of all modalities."""

_base_ = ['../cggm/iemocap.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='SingleModality', modality='vision'))

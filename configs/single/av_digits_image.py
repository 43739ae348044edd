"""Training on spoken and handwritten digits with image alone, in the model of all modalities."""

_base_ = ['../cggm/av_digits.py']

optim_wrapper = dict(balancer=dict(_delete_=True, type='SingleModality', modality='image'))

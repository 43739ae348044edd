"""CGGM's options on UCI Multiple Features."""

_base_ = ['./_base_/cggm_options.py']

data = 'mfeat'
settings = {'noise 2': {}}

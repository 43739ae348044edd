"""Modality dropout on a U-Net on BraTS: each slice loses each sequence with probability 0.3.

It prepares for patients who lack sequences.
"""

_base_ = ['../_base_/guided/brats_unet.py']

optim_wrapper = dict(balancer=dict(type='ModalityDropout', p=0.3))
custom_hooks = [dict(type='BalancingHook')]

"""Training on BraTS with one sequence alone, in the U-Net of all sequences.

``--cfg-options model.only=t1ce`` takes another; the default is flair.
"""

_base_ = ['../_base_/guided/brats_unet.py']

model = dict(only='flair')

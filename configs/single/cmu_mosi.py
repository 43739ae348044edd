"""Training on CMU-MOSI with one modality alone, in the model of all modalities.

``--cfg-options model.only=audio`` takes another; the default is text.
"""

_base_ = ['../_base_/guided/cmu_mosi.py']

model = dict(only='text')

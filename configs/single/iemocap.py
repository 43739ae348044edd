"""Training on IEMOCAP with one modality alone, in the model of all modalities.

``--cfg-options model.only=audio`` takes another; the default is text.
"""

_base_ = ['../_base_/guided/iemocap.py']

model = dict(only='text')

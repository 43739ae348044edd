"""Training on UPMC Food-101 with one modality alone, in the model of all modalities.

``--cfg-options model.only=text`` takes another; the default is image.
"""

_base_ = ['../_base_/guided/food101.py']

model = dict(only='image')

"""Training on spoken and handwritten digits with one modality alone, in the model of all modalities.

``--cfg-options model.only=image`` takes another; the default is audio.
"""

_base_ = ['../_base_/guided/av_digits.py']

model = dict(only='audio')

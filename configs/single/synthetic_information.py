"""Training on the synthetic family with one modality alone, in the model of both.

``--cfg-options model.only=hard`` takes the other; the default is easy.
"""

_base_ = ['../_base_/guided/synthetic_information.py']

model = dict(only='easy')

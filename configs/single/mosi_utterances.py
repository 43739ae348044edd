"""Training on CMU-MOSI's utterances with one modality alone, in the model of all.

``--cfg-options model.only=audio`` takes another; the default is text.
"""

_base_ = ['../_base_/guided/mosi_utterances.py']

model = dict(only='text')

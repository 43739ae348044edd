"""Training on UCI Multiple Features with one view alone, in the model of all views.

``--cfg-options model.only=fou`` takes another; the default is fac.
"""

_base_ = ['../_base_/guided/mfeat.py']

model = dict(only='fac')

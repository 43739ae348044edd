"""Training on 100 Leaves with one view alone, in the model of all.

``--cfg-options model.only=texture`` takes another; the default is shape.
"""

_base_ = ['../_base_/guided/leaves100.py']

model = dict(only='shape')

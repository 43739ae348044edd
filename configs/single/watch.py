"""Training on exercises that a watch recorded with one sensor alone, in the model of all.

``--cfg-options model.only=gyroscope`` takes another; the default is accelerometer.
"""

_base_ = ['../_base_/guided/watch.py']

model = dict(only='accelerometer')

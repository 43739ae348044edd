"""The published schedule of sequences, which watches the cross entropy on the validation split."""

_base_ = ['./sequence_30e.py']

param_scheduler = dict(monitor='cross_entropy')

"""Joint training of the paper's model on IEMOCAP, without balancing."""

_base_ = [
    '../_base_/models/iemocap_transformer.py',
    '../_base_/datasets/iemocap.py',
    '../_base_/schedules/iemocap_30e.py',
    '../_base_/default_runtime.py',
]

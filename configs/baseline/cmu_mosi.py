"""Joint training of the paper's model on CMU-MOSI, without balancing."""

_base_ = [
    '../_base_/models/mosi_transformer.py',
    '../_base_/datasets/cmu_mosi.py',
    '../_base_/schedules/sequence_30e.py',
    '../_base_/default_runtime.py',
]

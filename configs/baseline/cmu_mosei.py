"""Joint training of the paper's model of CMU-MOSI on CMU-MOSEI, without balancing."""

_base_ = [
    '../_base_/models/mosei_transformer.py',
    '../_base_/datasets/cmu_mosei.py',
    '../_base_/schedules/sequence_30e.py',
    '../_base_/default_runtime.py',
]

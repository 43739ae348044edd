"""Joint training of the paper's model of CMU-MOSI on CMU-MOSEI, without balancing."""

_base_ = [
    '../_base_/models/mosi_transformer.py',
    '../_base_/datasets/cmu_mosei.py',
    '../_base_/schedules/sequence_30e.py',
    '../_base_/default_runtime.py',
]

model = dict(
    mask_padding=False,  # as published
    backbone=dict(encoders={modality: dict(in_channels=width) for modality, width in _base_.widths.items()}),
)

"""Joint training on UPMC Food-101, without balancing."""

_base_ = [
    '../_base_/models/food101_transformer.py',
    '../_base_/datasets/food101.py',
    '../_base_/schedules/food101_60e.py',
    '../_base_/default_runtime.py',
]

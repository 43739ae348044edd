"""The paper's model on UPMC Food-101, with a guide a modality.

A method adds its balancer and its hook.
"""

_base_ = [
    '../models/food101_transformer.py',
    '../datasets/food101.py',
    '../schedules/food101_60e.py',
    '../default_runtime.py',
]

model = dict(
    _delete_=True,
    type='GuidedModel',
    model=_base_.model,
    encoders={modality: f'backbone.encoders.{modality}' for modality in _base_.modalities},
    head='head',
    guide=_base_.guide,
    task=dict(type='ClassificationTask', target='labels'),
)
optim_wrapper = dict(
    type='BalancedOptimWrapper',
    constructor='GuidedOptimWrapperConstructor',
    guide_optimizer=dict(type='AdamW', lr=5e-4, weight_decay=3e-3),
)

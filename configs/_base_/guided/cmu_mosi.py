"""The paper's model on CMU-MOSI, with a guide a modality.

A method adds its balancer and its hook.
"""

_base_ = [
    '../models/mosi_transformer.py',
    '../datasets/cmu_mosi.py',
    '../schedules/sequence_30e.py',
    '../default_runtime.py',
]

model = dict(
    _delete_=True,
    type='GuidedModel',
    model=_base_.model,
    encoders={modality: f'backbone.encoders.{modality}' for modality in _base_.modalities},
    head='head',
    guide=_base_.guide,
    task=dict(type='RegressionTask', target='labels', loss='l1', score='sign'),
)
optim_wrapper = dict(
    type='BalancedOptimWrapper',
    constructor='GuidedOptimWrapperConstructor',
    guide_optimizer=dict(type='Adam', lr=5e-4),
)

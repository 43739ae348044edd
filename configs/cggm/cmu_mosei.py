"""CGGM on the paper's model of CMU-MOSI on CMU-MOSEI, with the settings published for CMU-MOSI."""

_base_ = ['../baseline/cmu_mosei.py']

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
    type='CGGMOptimWrapper',
    constructor='GuidedOptimWrapperConstructor',
    guide_optimizer=dict(type='Adam', lr=5e-4),
    balancer=dict(type='CGGM', rho=1.3, lam=0.2),
)
custom_hooks = [dict(type='CGGMHook')]

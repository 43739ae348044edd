"""CGGM on the paper's model on IEMOCAP, with the published settings: ρ = 1.3, λ = 0.2."""

_base_ = ['../baseline/iemocap.py']

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
    type='CGGMOptimWrapper',
    constructor='GuidedOptimWrapperConstructor',
    guide_optimizer=dict(type='Adam', lr=5e-4),
    balancer=dict(type='CGGM', rho=1.3, lam=0.2),
)
custom_hooks = [dict(type='CGGMHook')]

"""Training on the synthetic family with a guide a modality, which watches: nothing is balanced.

The log shows what each encoder has learnt, beside what a guide reads from the untrained one.
"""

_base_ = [
    '../models/synthetic_information_mlp.py',
    '../datasets/synthetic_information.py',
    '../schedules/synthetic_information_12e.py',
    '../default_runtime.py',
]

model = dict(
    _delete_=True,
    type='GuidedModel',
    model=_base_.model,
    encoders={modality: f'backbone.encoders.{modality}' for modality in _base_.modalities},
    head='head',
    guide=dict(type='AutoGuide'),
    task=dict(type='ClassificationTask', target='labels'),
)
optim_wrapper = dict(
    type='BalancedOptimWrapper',
    constructor='GuidedOptimWrapperConstructor',
    guide_optimizer=dict(type='SGD', lr=0.01, momentum=0.9),
)
custom_hooks = [dict(type='GuideScoreHook', control=True)]
# The epoch that is best on the validation split is the one to test.
default_hooks = dict(checkpoint=dict(save_best='accuracy', rule='greater', max_keep_ckpts=1))

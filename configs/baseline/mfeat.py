"""Joint training on UCI Multiple Features, without balancing.

Guides train along without a say, so that the log shows what each encoder has learnt.
"""

_base_ = [
    '../_base_/models/mfeat_mlp.py',
    '../_base_/datasets/mfeat.py',
    '../_base_/schedules/mfeat_12e.py',
    '../_base_/default_runtime.py',
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
    type='CGGMOptimWrapper',
    constructor='GuidedOptimWrapperConstructor',
    guide_optimizer=dict(type='SGD', lr=0.03, momentum=0.9),
)
custom_hooks = [dict(type='GuideScoreHook')]
# The epoch that is best on the validation split is the one to test.
default_hooks = dict(checkpoint=dict(save_best='accuracy', rule='greater', max_keep_ckpts=1))

"""Training on anybody's features with a guide a modality: several labels a sample.

Nothing is balanced: the log shows what each encoder has learnt. A method adds its balancer and its hook. Who
inherits this says what the data are (see docs/your_features.md), `in_channels` and `outputs`.
"""

_base_ = [
    '../models/features_mlp.py',
    '../datasets/features.py',
    '../schedules/features_30e.py',
    '../default_runtime.py',
]

model = dict(
    _delete_=True,
    type='GuidedModel',
    model=dict(_base_.model, loss=dict(type='torch.nn.BCEWithLogitsLoss')),
    encoders='backbone.encoders',
    head='head',
    guide=dict(type='AutoGuide'),
    task=dict(type='MultiLabelTask', target='labels'),
)
optim_wrapper = dict(
    type='BalancedOptimWrapper',
    constructor='GuidedOptimWrapperConstructor',
    guide_optimizer=dict(type='Adam', lr=1e-3),
)
custom_hooks = [dict(type='StandardisationHook'), dict(type='GuideScoreHook')]
val_evaluator = dict(type='MultiLabelMetric')
test_evaluator = dict(type='MultiLabelMetric')
# The epoch that is best on the validation split is the one to test.
default_hooks = dict(checkpoint=dict(save_best='micro_F1', rule='greater', max_keep_ckpts=1))

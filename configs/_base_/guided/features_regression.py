"""Training on anybody's features with a guide a modality: targets of a regression.

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
    model=dict(_base_.model, loss=dict(type='torch.nn.L1Loss')),
    encoders='backbone.encoders',
    head='head',
    guide=dict(type='AutoGuide'),
    task=dict(type='RegressionTask', target='labels', loss='l1', score='negative_loss'),
)
optim_wrapper = dict(
    type='BalancedOptimWrapper',
    constructor='GuidedOptimWrapperConstructor',
    guide_optimizer=dict(type='Adam', lr=1e-3),
)
custom_hooks = [dict(type='StandardisationHook'), dict(type='GuideScoreHook')]
val_evaluator = dict(type='RegressionMetric')
test_evaluator = dict(type='RegressionMetric')
# The epoch that is best on the validation split is the one to test.
default_hooks = dict(checkpoint=dict(save_best='MAE', rule='less', max_keep_ckpts=1))

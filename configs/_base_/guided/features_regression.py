"""Training on anybody's features with a guide a modality: targets of a regression."""

_base_ = ['./features_classification.py']

model = dict(
    model=dict(loss=dict(type='torch.nn.L1Loss')),
    task=dict(type='RegressionTask', loss='l1', score='negative_loss'),
)
val_evaluator = dict(type='RegressionMetric')
test_evaluator = dict(type='RegressionMetric')
default_hooks = dict(checkpoint=dict(save_best='MAE', rule='less'))

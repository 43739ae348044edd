"""Training on anybody's features with a guide a modality: several labels a sample, each there or not."""

_base_ = ['./features_classification.py']

model = dict(model=dict(loss=dict(type='torch.nn.BCEWithLogitsLoss')), task=dict(type='MultiLabelTask'))
val_evaluator = dict(type='MultiLabelMetric')
test_evaluator = dict(type='MultiLabelMetric')
default_hooks = dict(checkpoint=dict(save_best='micro_F1'))

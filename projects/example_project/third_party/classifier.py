"""Joint training of a classifier of mmpretrain's on colour and depth."""

_base_ = ['./runtime.py']

default_scope = 'mmpretrain'
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(type='ClsDataPreprocessor'),
    backbone=dict(
        type='TwoStreamBackbone',
        split=(3, 1),
        stream=dict(type='ResNet', depth=18, stem_channels=8, base_channels=8),
    ),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', in_channels=64, num_classes=2, loss=dict(type='CrossEntropyLoss')),
)
train_dataloader = dict(dataset=dict(type='SyntheticClassification', seed=0))
test_dataloader = dict(dataset=dict(type='SyntheticClassification', seed=1))
test_evaluator = dict(type='Accuracy')

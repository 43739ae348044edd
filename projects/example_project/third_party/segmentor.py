"""Joint training of a segmentor of mmseg's on colour and depth."""

_base_ = ['./runtime.py']

default_scope = 'mmseg'
norm_cfg = dict(type='BN')
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', size=(32, 32)),
    backbone=dict(
        type='TwoStreamBackbone',
        split=(3, 1),
        stream=dict(
            type='ResNet',
            depth=18,
            base_channels=8,
            strides=(1, 1, 1, 1),
            dilations=(1, 1, 2, 4),
            norm_cfg=norm_cfg,
        ),
    ),
    decode_head=dict(
        type='FCNHead',
        in_channels=64,
        in_index=3,
        channels=16,
        num_convs=1,
        num_classes=3,
        norm_cfg=norm_cfg,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
train_dataloader = dict(dataset=dict(type='SyntheticSegmentation', seed=0))
test_dataloader = dict(dataset=dict(type='SyntheticSegmentation', seed=1))
test_evaluator = dict(type='IoUMetric', iou_metrics=['mDice'])

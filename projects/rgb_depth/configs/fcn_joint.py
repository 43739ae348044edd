"""An FCN of mmseg's on colour and depth, trained jointly."""

default_scope = 'mmseg'
custom_imports = dict(imports=['projects.rgb_depth.rgb_depth'])

size = (64, 64)
data = dict(
    type='BaseCDDataset',  # which reads pairs of images
    data_root='data/generated_rgb_depth',
    metainfo=dict(classes=('wall', 'box', 'ball'), palette=[[90, 90, 90], [200, 80, 60], [60, 80, 200]]),
    img_suffix='.png',
    img_suffix2='.png',
    seg_map_suffix='.png',
)
load = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Normalize', mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True),
    dict(type='LoadDepth', farthest=5000),  # 5 m, in mm
]
train_dataloader = dict(
    batch_size=8,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        data_prefix=dict(img_path='colour/train', img_path2='depth/train', seg_map_path='labels/train'),
        pipeline=[
            *load,
            dict(type='RandomCrop', crop_size=size),
            dict(type='RandomFlip', prob=0.5),
            dict(type='PackSegInputs'),
        ],
        **data,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        data_prefix=dict(img_path='colour/val', img_path2='depth/val', seg_map_path='labels/val'),
        pipeline=[*load, dict(type='PackSegInputs')],
        **data,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator

norm_cfg = dict(type='BN')
encoder = dict(
    type='ResNetV1c',
    depth=18,
    base_channels=16,
    stem_channels=16,
    strides=(1, 2, 1, 1),
    dilations=(1, 1, 2, 4),
    norm_cfg=norm_cfg,
)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', size=size, seg_pad_val=255),
    backbone=dict(type='TwoEncoders', colour=encoder, depth=dict(encoder, in_channels=1)),
    decode_head=dict(
        type='FCNHead',
        in_channels=128,
        in_index=3,
        channels=32,
        num_convs=1,
        num_classes=3,
        norm_cfg=norm_cfg,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.05, momentum=0.9))
train_cfg = dict(by_epoch=True, max_epochs=10, val_interval=10)
val_cfg = dict()
test_cfg = dict()
default_hooks = dict(logger=dict(type='LoggerHook', interval=6))
visualizer = dict(type='SegLocalVisualizer', vis_backends=[dict(type='LocalVisBackend')])
randomness = dict(seed=0)

"""A U-Net with one encoder a sequence, fused by concatenation at every level."""

modalities = ('flair', 't1ce', 't1', 't2')
channels = (32, 64, 128, 256, 512)
norm_cfg = dict(type='IN', affine=True)
act_cfg = dict(type='LeakyReLU', negative_slope=0.01, inplace=True)

# The published loss: half weighted cross-entropy, half soft Dice of the foreground.
losses = [
    dict(type='mmseg.CrossEntropyLoss', loss_weight=0.5, class_weight=[0.2, 0.3, 0.25, 0.25]),
    dict(type='ForegroundDiceLoss', smooth=0.01, loss_weight=0.5),
]

model = dict(
    type='MultimodalSegmentor',
    data_preprocessor=dict(type='MultimodalDataPreprocessor'),
    backbone=dict(
        type='MultimodalBackbone',
        modalities=modalities,
        encoder=dict(
            type='UNetEncoder', in_channels=1, channels=channels, norm_cfg=norm_cfg, act_cfg=act_cfg
        ),
        fusion=dict(
            type='PyramidConcatFusion',
            in_channels=channels,
            out_channels=channels,
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
        ),
    ),
    decode_head=dict(
        type='UNetHead',
        in_channels=channels,
        num_classes=4,
        dropout_ratio=0.1,
        norm_cfg=norm_cfg,
        act_cfg=act_cfg,
        loss_decode=losses,
    ),
    test_cfg=dict(mode='whole', slices_per_pass=16),
)

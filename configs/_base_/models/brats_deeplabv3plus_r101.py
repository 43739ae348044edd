"""The paper's network: ResNet-101 and ASPP a sequence, one DeepLabV3+ decoder."""

_base_ = ['./brats_unet.py']

norm_cfg = dict(type='BN')
decoder = dict(type='DeepLabV3PlusHead', num_classes=4, norm_cfg=norm_cfg, align_corners=True)

model = dict(
    backbone=dict(
        encoder=dict(
            _delete_=True,
            type='DeepLabEncoder',
            backbone=dict(
                type='mmseg.ResNet',
                depth=101,
                in_channels=1,
                strides=(1, 2, 2, 1),
                dilations=(1, 1, 1, 2),
                multi_grid=(2, 4, 8),
                norm_cfg=norm_cfg,
            ),
            dilations=(1, 2, 4, 6),
            norm_cfg=norm_cfg,
        ),
        fusion=dict(_delete_=True, type='PyramidConcatFusion', in_channels=(256, 256)),
    ),
    decode_head=dict(_delete_=True, in_channels=(4 * 256, 4 * 256), loss_decode=_base_.losses, **decoder),
)

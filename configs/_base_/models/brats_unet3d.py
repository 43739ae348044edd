"""A 3D U-Net of MONAI's blocks: a residual encoder a sequence, fused at every level, one decoder."""

_base_ = ['../losses/brats_labels.py']

modalities = ('flair', 't1ce', 't1', 't2')
channels = (16, 32, 64, 128, 256)
strides = (1, 2, 2, 2, 2)
norm_cfg = dict(type='IN3d', affine=True)
patch_size = (128, 128, 128)

model = dict(
    type='VolumeSegmentor',
    data_preprocessor=dict(type='MultimodalDataPreprocessor'),
    backbone=dict(
        type='MultimodalBackbone',
        modalities=modalities,
        encoder=dict(type='UNet3DEncoder', in_channels=1, channels=channels, strides=strides),
        fusion=dict(
            type='PyramidConcatFusion',
            in_channels=channels,
            out_channels=channels,
            conv_cfg=dict(type='Conv3d'),
            norm_cfg=norm_cfg,
            act_cfg=dict(type='LeakyReLU', negative_slope=0.01, inplace=True),
        ),
    ),
    decode_head=dict(
        type='UNet3DHead',
        in_channels=channels,
        strides=strides[1:],
        num_classes=4,
        deep_supervision=(0.5, 0.25),
        loss_decode=_base_.label_loss,
    ),
    test_cfg=dict(mode='slide', patch_size=patch_size, overlap=0.5, windows_per_pass=1),
)

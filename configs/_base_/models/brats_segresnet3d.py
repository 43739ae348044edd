"""MONAI's SegResNet (Myronenko, BrainLes 2018, arXiv 1810.11654), which takes all sequences as channels."""

_base_ = ['./brats_unet3d.py']

model = dict(
    backbone=dict(_delete_=True, type='StackedModalities', modalities=_base_.modalities),
    decode_head=dict(
        _delete_=True,
        type='MonaiNetworkHead',
        network=dict(
            type='SegResNet', init_filters=32, blocks_down=(1, 2, 2, 4), blocks_up=(1, 1, 1), dropout_prob=0.2
        ),
        in_channels=4,
        num_classes=4,
        loss_decode=_base_.label_loss,
    ),
)

"""CGGM on a U-Net on BraTS, with the published settings of the method: ρ = 1.0, λ = 0.1, B without bounds.

`progress=dict(type='SmoothedProgress')`, as in the demo, keeps B in [0, 1] (see docs/cggm.md).
"""

_base_ = ['../baseline/brats_unet.py']

modalities = _base_.modalities
channels = _base_.channels

model = dict(
    _delete_=True,
    type='GuidedModel',
    model=_base_.model,
    encoders={modality: f'backbone.encoders.{modality}' for modality in modalities},
    head='decode_head.conv_seg',
    guide=dict(
        type='DecodeHeadGuide',
        head=dict(
            type='mmseg.SegformerHead',
            # All levels but the finest: a guide that costs little.
            in_channels=channels[1:],
            in_index=list(range(1, len(channels))),
            channels=channels[0],
            num_classes=4,
            dropout_ratio=0.1,
            norm_cfg=_base_.norm_cfg,
        ),
    ),
    task=dict(type='SegmentationTask'),
)
optim_wrapper = dict(
    type='CGGMOptimWrapper',
    constructor='GuidedOptimWrapperConstructor',
    guide_optimizer=dict(type='SGD', lr=6e-3, momentum=0.9, weight_decay=3e-4),
    balancer=dict(type='CGGM', rho=1.0, lam=0.1),
)
custom_hooks = [dict(type='CGGMHook')]

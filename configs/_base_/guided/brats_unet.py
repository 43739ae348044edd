"""A U-Net on BraTS, with a guide a sequence.

A method adds its balancer and its hook.
"""

_base_ = [
    '../models/brats_unet.py',
    '../datasets/brats.py',
    '../schedules/brats_75e.py',
    '../default_runtime.py',
]

channels = _base_.channels
# The levels from a quarter of the resolution on: guides that cost little.
coarse = tuple(range(2, len(channels)))

model = dict(
    _delete_=True,
    type='GuidedModel',
    model=_base_.model,
    encoders={modality: f'backbone.encoders.{modality}' for modality in _base_.modalities},
    head='decode_head.conv_seg',
    guide=dict(
        type='DecodeHeadGuide',
        head=dict(
            type='mmseg.SegformerHead',
            in_channels=[channels[level] for level in coarse],
            in_index=coarse,
            channels=channels[0],
            num_classes=4,
            dropout_ratio=0.1,
            norm_cfg=_base_.norm_cfg,
        ),
    ),
    task=dict(type='SegmentationTask', grid='guide'),
    present='data_samples.present',
)
optim_wrapper = dict(
    type='BalancedOptimWrapper',
    constructor='GuidedOptimWrapperConstructor',
    guide_optimizer=dict(type='SGD', lr=6e-3, momentum=0.9, weight_decay=3e-4),
)

"""A 3D U-Net on BraTS, small enough for a CPU, with a guide a sequence.

A method adds its balancer and its hook.
"""

_base_ = [
    '../models/brats_unet3d_small.py',
    '../datasets/brats3d_small.py',
    '../schedules/brats3d_small.py',
    '../default_runtime.py',
]

channels = _base_.channels
# The levels from a quarter of the resolution on.
coarse = tuple(range(1, len(channels)))

model = dict(
    _delete_=True,
    type='GuidedModel',
    model=_base_.model,
    encoders={modality: f'backbone.encoders.{modality}' for modality in _base_.modalities},
    head='decode_head.conv_seg',
    guide=dict(
        type='DecodeHeadGuide',
        head=dict(
            type='Segformer3DHead',
            in_channels=[channels[level] for level in coarse],
            in_index=coarse,
            channels=channels[0],
            num_classes=4,
        ),
    ),
    task=dict(type='SegmentationTask', grid='guide'),
    present='data_samples.present',
)
optim_wrapper = dict(
    type='BalancedOptimWrapper',
    constructor='GuidedOptimWrapperConstructor',
    guide_optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=3e-5),
)

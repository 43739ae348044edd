"""The paper's network on BraTS, with a guide a sequence.

A method adds its balancer and its hook.
"""

_base_ = [
    '../models/brats_deeplabv3plus_r101.py',
    '../datasets/brats.py',
    '../schedules/brats_75e.py',
    '../default_runtime.py',
]

model = dict(
    _delete_=True,
    type='GuidedModel',
    model=_base_.model,
    encoders={modality: f'backbone.encoders.{modality}' for modality in _base_.modalities},
    head='decode_head.conv_seg',
    guide=dict(type='DecodeHeadGuide', head=dict(in_channels=(256, 256), **_base_.decoder)),
    task=dict(type='SegmentationTask'),
    present='data_samples.present',
)
optim_wrapper = dict(
    type='BalancedOptimWrapper',
    constructor='GuidedOptimWrapperConstructor',
    guide_optimizer=dict(type='SGD', lr=6e-3, momentum=0.9, weight_decay=3e-4),
)

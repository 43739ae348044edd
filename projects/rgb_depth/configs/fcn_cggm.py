"""The FCN on colour and depth, balanced by CGGM."""

_base_ = ['./fcn_joint.py']

model = dict(
    _delete_=True,
    type='mmcggm.GuidedModel',
    model=_base_.model,
    encoders=dict(colour='backbone.colour', depth='backbone.depth'),
    head='decode_head.conv_seg',
    task=dict(type='mmcggm.SegmentationTask', score='PixelAccuracy'),
)
optim_wrapper = dict(
    balancer=dict(type='CGGM', rho='neutral', lam=0.0, progress=dict(type='SmoothedProgress'))
)
runner_type = 'mmcggm.BalancedRunner'

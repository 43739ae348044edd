"""The segmentor, balanced."""

_base_ = ['../third_party/segmentor.py']

model = dict(
    _delete_=True,
    type='mmcggm.GuidedModel',
    model=_base_.model,
    encoders=dict(colour='backbone.streams.0', depth='backbone.streams.1'),
    head='decode_head.conv_seg',
    task=dict(
        type='mmcggm.SegmentationTask', score=dict(type='SliceDice', regions=dict(near=(1,), far=(2,)))
    ),
)
optim_wrapper = dict(balancer=dict(type='CGGM', rho='neutral', lam=0.1))
runner_type = 'mmcggm.BalancedRunner'

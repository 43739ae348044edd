"""MMCosine on IEMOCAP, with s = 10 as published: the encoders' mean tokens, and a head of cosines."""

_base_ = ['../baseline/iemocap.py']

widths = [_base_.transformer['dim']] * len(_base_.modalities)
model = dict(
    backbone=dict(
        fusion=dict(_delete_=True, type='ConcatFusion', project=False, in_channels=widths, dim=sum(widths))
    ),
    dim=sum(widths),
    head=dict(type='CosineHead', widths=widths, scale=10.0),
)

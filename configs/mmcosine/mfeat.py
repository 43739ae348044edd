"""MMCosine on UCI Multiple Features: a head of cosines on the concatenation, s = 10 as published."""

_base_ = ['../baseline/mfeat.py']

widths = _base_.model.model.backbone.fusion.in_channels
model = dict(
    model=dict(
        backbone=dict(fusion=dict(project=False, dim=sum(widths))),
        dim=sum(widths),
        head=dict(type='CosineHead', widths=widths, scale=10.0),
    )
)

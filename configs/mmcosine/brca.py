"""MMCosine on TCGA-BRCA: a head of cosines on the concatenation, s = 10 as published."""

_base_ = ['../baseline/brca.py']

widths = [_base_.model.model.backbone.encoder.hidden_channels[-1]] * len(_base_.omics)
model = dict(
    model=dict(
        backbone=dict(fusion=dict(project=False, in_channels=widths, dim=sum(widths))),
        dim=sum(widths),
        head=dict(type='CosineHead', widths=widths, scale=10.0),
    )
)

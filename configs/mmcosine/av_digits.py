"""MMCosine on spoken and handwritten digits: a head of cosines on the concatenation, s = 10 as published."""

_base_ = ['../baseline/av_digits.py']

widths = [channels[-1] for channels in _base_.channels.values()]
model = dict(
    model=dict(
        backbone=dict(fusion=dict(project=False, dim=sum(widths))),
        dim=sum(widths),
        head=dict(type='CosineHead', widths=widths, scale=10.0),
    )
)

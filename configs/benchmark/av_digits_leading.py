"""The baselines, CGGM and the leading methods of ``av_digits.py``, with the settings of their configs."""

_base_ = ['./av_digits.py']

methods = dict(
    _delete_=True,
    **{
        name: _base_.methods[name]
        for name in (*_base_.ten_seeds, 'joint 72 epochs', *(f'{m} alone' for m in _base_.modalities))
    },
)
search = None

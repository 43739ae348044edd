"""What led in ``brca.py`` on ten splits of the patients, one a seed; nothing is searched.

One split has 154 patients to test, so that the next split may rank methods otherwise.
"""

_base_ = ['./brca.py']

methods = dict(
    _delete_=True,
    **{
        name: _base_.methods[name] for name in (*_base_.ten_seeds, *(f'{m} alone' for m in _base_.modalities))
    },
)
seeded = [f'{split}_dataloader.dataset.seed' for split in ('train', 'val', 'test')]
search = None

"""The methods that lead in ``mfeat.py``, trained six times as long, ten seeds, nothing searched."""

_base_ = ['./mfeat.py']

leading = ('joint', 'CGGM smoothed', 'CGGM teaching', 'MSES', 'MMPareto', 'UMT')
methods = dict(
    _delete_=True,
    **{name: _base_.methods[name] for name in (*leading, *(f'{view} alone' for view in _base_.views))},
)
settings = {'noise 2': {'train_cfg.max_epochs': 72}}
seeds = list(range(10))
search = None

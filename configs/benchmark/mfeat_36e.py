"""Every method on UCI Multiple Features, trained three times as long as in ``mfeat.py``.

MLA and ReconBoost train one view at a time, which makes an epoch six; here they have as many steps as the
others.
"""

_base_ = ['./mfeat.py']

settings = {'noise 2': {'train_cfg.max_epochs': 36}}
methods = {name: dict(overrides={'train_cfg.max_epochs': 6}) for name in ('MLA', 'ReconBoost')}

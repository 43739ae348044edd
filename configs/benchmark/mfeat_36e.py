"""Every method on UCI Multiple Features, trained three times as long as in ``mfeat.py``.

All take as many steps: MLA and ReconBoost, which train one view at a time, have six times the epochs of the
others in their own configs, but not here.
"""

_base_ = ['./mfeat.py']

settings = {'noise 2': {'train_cfg.max_epochs': 36}}

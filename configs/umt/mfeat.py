"""UMT on UCI Multiple Features, with BalanceBenchmark's λ = 10. The teachers come from

for view in fac fou kar mor pix zer; do python tools/train.py configs/single/mfeat_$view.py; done
"""

_base_ = ['../cggm/mfeat.py']

model = dict(teachers={view: f'work_dirs/mfeat_{view}' for view in _base_.modalities})
optim_wrapper = dict(balancer=dict(_delete_=True, type='UMT', lam=10.0))

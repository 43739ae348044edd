"""UMT on UCI Multiple Features, with BalanceBenchmark's λ = 10. The teachers come from

for view in fac fou kar mor pix zer; do
    python tools/train.py configs/single/mfeat.py --cfg-options model.only=$view
done
"""

_base_ = ['../_base_/guided/mfeat.py']

model = dict(teachers={view: f'work_dirs/single/mfeat_{view}' for view in _base_.modalities})
optim_wrapper = dict(balancer=dict(type='UMT', lam=10.0))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]

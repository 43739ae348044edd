"""UMT on UPMC Food-101, with BalanceBenchmark's λ = 10. The teachers come from

for modality in image text; do
    python tools/train.py configs/single/food101.py --cfg-options model.only=$modality
done
"""

_base_ = ['../_base_/guided/food101.py']

model = dict(teachers={modality: f'work_dirs/single/food101_{modality}' for modality in _base_.modalities})
optim_wrapper = dict(balancer=dict(type='UMT', lam=10.0))
custom_hooks = [dict(type='BalancingHook')]

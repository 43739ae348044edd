"""UMT on CMU-MOSI, with BalanceBenchmark's λ = 10. The teachers come from

for modality in text audio vision; do
    python tools/train.py configs/single/cmu_mosi.py --cfg-options model.only=$modality
done
"""

_base_ = ['../_base_/guided/cmu_mosi.py']

model = dict(teachers={modality: f'work_dirs/single/cmu_mosi_{modality}' for modality in _base_.modalities})
optim_wrapper = dict(balancer=dict(type='UMT', lam=10.0))
custom_hooks = [dict(type='BalancingHook')]

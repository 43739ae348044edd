"""UMT on spoken and handwritten digits, with BalanceBenchmark's λ = 10. The teachers come from

for modality in audio image; do
    python tools/train.py configs/single/av_digits.py --cfg-options model.only=$modality
done
"""

_base_ = ['../_base_/guided/av_digits.py']

model = dict(teachers={modality: f'work_dirs/single/av_digits_{modality}' for modality in _base_.modalities})
optim_wrapper = dict(balancer=dict(type='UMT', lam=10.0))
custom_hooks = [dict(type='BalancingHook'), dict(type='GuideScoreHook')]

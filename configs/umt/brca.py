"""UMT on TCGA-BRCA, with BalanceBenchmark's λ = 10. The teachers come from

for modality in rna methylation mirna; do
    python tools/train.py configs/single/brca.py --cfg-options model.only=$modality
done
"""

_base_ = ['../_base_/guided/brca.py']

model = dict(
    teachers={
        modality: f'work_dirs/single/brca_{modality}' for modality in _base_.train_dataloader.dataset.inputs
    }
)
optim_wrapper = dict(balancer=dict(type='UMT', lam=10.0))
custom_hooks = [dict(type='BalancingHook'), dict(type='StandardisationHook'), dict(type='GuideScoreHook')]

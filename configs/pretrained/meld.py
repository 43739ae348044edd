"""Joint training on MELD's dev utterances whose encoders begin as those of trainings alone. These come from

for modality in text audio vision; do
    python tools/train.py configs/single/meld.py --cfg-options model.only=$modality
done

``--cfg-options model.freeze=True`` keeps them as they are, so that fusion and head alone are trained.
"""

_base_ = ['../_base_/guided/meld.py']

model = dict(
    pretrained={
        modality: f'work_dirs/single/meld_{modality}' for modality in _base_.train_dataloader.dataset.inputs
    }
)
custom_hooks = [dict(type='StandardisationHook'), dict(type='GuideScoreHook')]

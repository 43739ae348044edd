"""Joint training on exercises that a watch recorded with encoders trained alone. These come from

for modality in accelerometer gyroscope; do
    python tools/train.py configs/single/watch.py --cfg-options model.only=$modality
done

``--cfg-options model.freeze=True`` keeps them as they are, so that fusion and head alone are trained.
"""

_base_ = ['../_base_/guided/watch.py']

model = dict(
    pretrained={
        modality: f'work_dirs/single/watch_{modality}' for modality in _base_.train_dataloader.dataset.inputs
    }
)
custom_hooks = [dict(type='StandardisationHook'), dict(type='GuideScoreHook')]

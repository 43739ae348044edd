"""Joint training on spoken and handwritten digits with encoders trained alone. These come from

for modality in audio image; do
    python tools/train.py configs/single/av_digits.py --cfg-options model.only=$modality
done

``--cfg-options model.freeze=True`` keeps them as they are, so that fusion and head alone are trained.
"""

_base_ = ['../_base_/guided/av_digits.py']

model = dict(
    pretrained={modality: f'work_dirs/single/av_digits_{modality}' for modality in _base_.modalities}
)
custom_hooks = [dict(type='GuideScoreHook')]

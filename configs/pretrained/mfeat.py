"""Joint training on UCI Multiple Features whose encoders begin as those of trainings alone. These come from

for view in fac fou kar mor pix zer; do
    python tools/train.py configs/single/mfeat.py --cfg-options model.only=$view
done

``--cfg-options model.freeze=True`` keeps them as they are, so that fusion and head alone are trained.
"""

_base_ = ['../_base_/guided/mfeat.py']

model = dict(pretrained={view: f'work_dirs/single/mfeat_{view}' for view in _base_.modalities})
custom_hooks = [dict(type='GuideScoreHook')]

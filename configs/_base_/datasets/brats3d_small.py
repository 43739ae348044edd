"""``brats3d.py`` with patches of 64³, a dozen of each case an epoch, which one process reads."""

_base_ = ['./brats3d.py']

train_pipeline = [
    dict(type='LoadBraTSPatch', patch_size=(64, 64, 64), tumour=0.67),
    _base_.augmentation,
    dict(type='PackMultimodalInputs'),
]
train_dataloader = dict(num_workers=1, dataset=dict(patches=12, pipeline=train_pipeline))
val_dataloader = dict(num_workers=0, persistent_workers=False)
test_dataloader = dict(num_workers=0)

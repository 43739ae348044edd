"""BraTS in 3D: random patches, two thirds of them centred on tumour; volumes for validation and test."""

_base_ = ['./brats.py']

both = ('img', 'gt_seg_map')
augmentation = dict(
    type='MonaiTransforms',
    steps=[
        *(dict(type='RandFlipd', keys=both, prob=0.5, spatial_axis=axis) for axis in (0, 1, 2)),
        dict(type='RandScaleIntensityd', keys='img', factors=0.1, prob=0.5, channel_wise=True),
        dict(type='RandShiftIntensityd', keys='img', offsets=0.1, prob=0.5, channel_wise=True),
        dict(type='RandGaussianNoised', keys='img', prob=0.1, std=0.1),
    ],
)
train_pipeline = [
    dict(type='LoadBraTSPatch', patch_size=(128, 128, 128), tumour=0.67),
    augmentation,
    dict(type='PackMultimodalInputs'),
]
test_pipeline = [
    dict(type='LoadBraTSVolume', size_divisor=1),
    dict(type='PackMultimodalInputs'),
]

train_dataloader = dict(batch_size=2, dataset=dict(sample='patch', pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))

"""BraTS in 3D: random patches, two thirds of them centred on tumour; volumes for validation and test."""

data_root = 'data/brats'
sequences = ('flair', 't1ce', 't1', 't2')

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

train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='BraTSDataset',
        data_root=data_root,
        split='train',
        modalities=sequences,
        sample='patch',
        pipeline=train_pipeline,
    ),
)
volumes = dict(
    type='BraTSDataset',
    data_root=data_root,
    modalities=sequences,
    sample='volume',
    pipeline=test_pipeline,
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(split='val', **volumes),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(split='test', **volumes),
)
val_evaluator = dict(type='BraTSMetric')
test_evaluator = dict(type='BraTSMetric')

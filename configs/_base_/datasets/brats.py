"""BraTS 2021 by the published protocol; volumes for validation and test."""

data_root = 'data/brats'
sequences = ('flair', 't1ce', 't1', 't2')

# A random tumour slice of each case an epoch.
train_pipeline = [
    dict(type='LoadBraTSSlice'),
    dict(type='CenterCropOrPad', size=160),
    dict(type='RandomRot90', ks=(0, 1, 2)),
    dict(type='RandomFlip', prob=[0.5, 0.5], direction=['horizontal', 'vertical']),
    dict(type='mmseg.BioMedicalGaussianNoise', prob=0.1, mean=0.0, std=0.1),
    dict(type='PackMultimodalInputs'),
]
test_pipeline = [
    dict(type='LoadBraTSVolume', size_divisor=16),
    dict(type='PackMultimodalInputs'),
]

train_dataloader = dict(
    batch_size=64,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type='BraTSDataset',
        data_root=data_root,
        split='train',
        modalities=sequences,
        sample='random_tumour_slice',
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

"""Anybody's features by modality. Who inherits this says in each `dataset` what they are."""

train_dataloader = dict(
    batch_size=32,
    num_workers=0,  # what is read is in memory, or mapped into it
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='mmcggm.collate_features'),
    dataset=dict(type='FeatureDataset', split='train'),
)
val_dataloader = dict(
    batch_size=256,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='mmcggm.collate_features'),
    dataset=dict(type='FeatureDataset', split='val'),
)
test_dataloader = dict(
    batch_size=256,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='mmcggm.collate_features'),
    dataset=dict(type='FeatureDataset', split='test'),
)

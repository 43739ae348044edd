"""Synthetic vectors in two modalities, one easy and one hard to read, with the label in both or in one.

Half of the samples have it in both. For another share set all three loaders.
"""

information = dict(
    type='SyntheticInformationDataset',
    shared=0.5,
    unique=dict(easy=0.25, hard=0.25),
    layers=dict(easy=0, hard=4),
)
vectors = dict(
    batch_size=50,
    num_workers=0,  # all of the data is in memory
    collate_fn=dict(type='mmcggm.collate_features'),
)
held_out = dict(vectors, batch_size=500)
train_dataloader = dict(
    **vectors,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(**information, split='train', samples=1000),
)
val_dataloader = dict(
    **held_out,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**information, split='val', samples=1000),
)
test_dataloader = dict(
    **held_out,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**information, split='test', samples=4000),
)
val_evaluator = dict(type='ClassificationMetric')
test_evaluator = dict(type='ClassificationMetric')

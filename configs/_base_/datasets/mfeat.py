"""Handwritten digits in six views, with noise of twice each feature's standard deviation."""

data_root = 'data/mfeat'
noise = 2.0

digits = dict(
    batch_size=25,
    num_workers=0,  # all of the data is in memory
    collate_fn=dict(type='mmcggm.collate_features'),
)
held_out = dict(digits, batch_size=250)
train_dataloader = dict(
    **digits,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='MfeatDataset', data_root=data_root, split='train', noise=noise),
)
val_dataloader = dict(
    **held_out,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='MfeatDataset', data_root=data_root, split='val', noise=noise),
)
test_dataloader = dict(
    **held_out,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='MfeatDataset', data_root=data_root, split='test', noise=noise),
)
val_evaluator = dict(type='ClassificationMetric')
test_evaluator = dict(type='ClassificationMetric')

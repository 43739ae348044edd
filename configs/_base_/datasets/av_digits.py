"""Spoken and handwritten digits; every speaker is in every split."""

data_root = 'data/av_digits'
image_noise = 0.3

digits = dict(
    batch_size=64,
    num_workers=0,  # all of the data is in memory
    collate_fn=dict(type='mmcggm.collate_features'),
)
train_dataloader = dict(
    **digits,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type='AVDigitsDataset', data_root=data_root, split='train', image_noise=image_noise),
)
val_dataloader = dict(
    **digits,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='AVDigitsDataset', data_root=data_root, split='val', image_noise=image_noise),
)
test_dataloader = dict(
    **digits,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='AVDigitsDataset', data_root=data_root, split='test', image_noise=image_noise),
)
val_evaluator = dict(type='ClassificationMetric')
test_evaluator = dict(type='ClassificationMetric')

"""IEMOCAP with the features of MMIN: BERT (1024), ComParE (130) and DenseFace (342)."""

cv = 1  # the fold, 1 to 10

utterances = dict(
    type='IEMOCAPDataset',
    data_root='data/iemocap',
    cv=cv,
    features=dict(text='bert_large', audio='comparE', vision='denseface'),
    max_lengths=dict(text=22, audio=350, vision=50),
    audio_norm='train',
)
train_dataloader = dict(
    batch_size=64,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(split='train', **utterances),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(split='val', **utterances),
)
test_dataloader = dict(
    batch_size=64,
    num_workers=2,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(split='test', **utterances),
)
val_evaluator = dict(type='ClassificationMetric')
test_evaluator = dict(type='ClassificationMetric')

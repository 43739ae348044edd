"""CMU-MOSI as MMSA ships it, aligned: BERT (768), COVAREP (5) and FACET (20), 50 tokens each.

For MulT's pickle set ``ann_file='mosi_data.pkl'`` and 300 channels of text (GloVe). As published, padding
stays where the file has it and counts as tokens; to respect it, set ``padding='end'`` here and
``mask_padding=True`` in the model.
"""

widths = dict(text=768, audio=5, vision=20)

clips = dict(
    type='SentimentDataset',
    data_root='data/cmu_mosi',
    ann_file='aligned_50.pkl',
    modalities=tuple(widths),
    channels=widths,
    padding='file',
)
train_dataloader = dict(
    batch_size=64,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(split='train', **clips),
)
val_dataloader = dict(
    batch_size=64,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(split='valid', **clips),
)
test_dataloader = dict(
    batch_size=64,
    num_workers=2,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    dataset=dict(split='test', **clips),
)
val_evaluator = dict(type='SentimentMetric')
test_evaluator = dict(type='SentimentMetric')

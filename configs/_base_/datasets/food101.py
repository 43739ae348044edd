"""UPMC Food-101 by the published protocol: 224 pixels, 50 tokens, validation on the test set."""

data_root = 'data/food101'
tokenizer = 'data/pretrained/bert-base-uncased'
resize = dict(type='Resize', scale=(224, 224), backend='pillow')

train_pipeline = [
    resize,
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomApply',
        transforms=dict(
            type='mmpretrain.ColorJitter',
            brightness=0.4,
            contrast=0.4,
            saturation=0.4,
            hue=0.1,
            backend='cv2',
        ),
        prob=0.8,
    ),
    dict(type='RandomGrayscale', prob=0.2, keep_channels=True, channel_weights=(0.114, 0.587, 0.299)),
    dict(type='mmpretrain.GaussianBlur', magnitude_range=(0.1, 2.0), magnitude_std='inf', prob=1.0),
]

data = dict(type='Food101Dataset', data_root=data_root, tokenizer=tokenizer, text_length=50)
train_dataloader = dict(
    batch_size=128,
    num_workers=8,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(split='train', pipeline=train_pipeline, **data),
)
val_dataloader = dict(
    batch_size=128,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=dict(type='default_collate'),
    # The data has no validation set. For one, write a part of train.json to a val.json of your own.
    dataset=dict(split='test', pipeline=[resize], **data),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='ClassificationMetric')
test_evaluator = val_evaluator

"""A small CNN a modality, and a linear classifier on the concatenation of their vectors."""

channels = dict(audio=(16, 32, 64), image=(16, 32))
strides = dict(audio=2, image=1)
modalities = tuple(channels)
norm_cfg = dict(type='GN', num_groups=4)  # not of the batch: a sample's result is its own

model = dict(
    type='MultimodalPredictor',
    # Of the training split, before noise.
    data_preprocessor=dict(
        type='MultimodalDataPreprocessor',
        mean=dict(audio=0.28, image=0.31),
        std=dict(audio=0.30, image=0.38),
    ),
    backbone=dict(
        type='MultimodalBackbone',
        modalities=modalities,
        encoders={
            modality: dict(
                type='SmallCNN',
                in_channels=1,
                channels=channels[modality],
                stride=strides[modality],
                norm_cfg=norm_cfg,
            )
            for modality in modalities
        },
        fusion=dict(type='ConcatFusion', in_channels=[widths[-1] for widths in channels.values()], dim=64),
    ),
    dim=64,
    outputs=10,
    loss=dict(type='torch.nn.CrossEntropyLoss'),
)

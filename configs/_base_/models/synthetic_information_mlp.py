"""A perceptron a modality, and a linear classifier on the concatenation of their vectors."""

modalities = ('easy', 'hard')

model = dict(
    type='MultimodalPredictor',
    data_preprocessor=dict(type='MultimodalDataPreprocessor'),
    backbone=dict(
        type='MultimodalBackbone',
        modalities=modalities,
        encoders={
            modality: dict(type='torchvision.ops.MLP', in_channels=32, hidden_channels=[64, 64])
            for modality in modalities
        },
        fusion=dict(type='ConcatFusion', in_channels=[64, 64], dim=64),
    ),
    dim=64,
    outputs=4,
    loss=dict(type='torch.nn.CrossEntropyLoss'),
)

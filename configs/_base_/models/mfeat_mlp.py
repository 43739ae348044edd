"""A perceptron with a hidden layer a view, and a linear classifier on the concatenation of their vectors."""

features = dict(fac=216, fou=76, kar=64, mor=6, pix=240, zer=47)
modalities = tuple(features)

model = dict(
    type='MultimodalPredictor',
    data_preprocessor=dict(type='MultimodalDataPreprocessor'),  # the data set standardises
    backbone=dict(
        type='MultimodalBackbone',
        modalities=modalities,
        encoders={
            modality: dict(type='torchvision.ops.MLP', in_channels=width, hidden_channels=[64, 64])
            for modality, width in features.items()
        },
        fusion=dict(type='ConcatFusion', in_channels=[64] * len(features), dim=64),
    ),
    dim=64,
    outputs=10,
    loss=dict(type='torch.nn.CrossEntropyLoss'),
)

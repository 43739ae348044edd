"""A perceptron with a hidden layer a modality, and a linear head on the concatenation of their vectors.

Who inherits this sets `backbone.in_channels`, the channels of each modality, and `outputs`.
"""

model = dict(
    type='MultimodalPredictor',
    data_preprocessor=dict(type='MultimodalDataPreprocessor', standardise=True),
    backbone=dict(
        type='MultimodalBackbone',
        encoder=dict(type='torchvision.ops.MLP', hidden_channels=[64, 64]),
        fusion=dict(type='ConcatFusion', dim=64),
    ),
    dim=64,
)

"""The paper's network for IEMOCAP: a transformer a modality, and one over the tokens of all."""

channels = dict(text=1024, audio=130, vision=342)
modalities = tuple(channels)
num_classes = 4
layers = 4
transformer = dict(
    dim=40,
    num_heads=5,
    attention_dropout=0.15,
    relu_dropout=0.15,
    embed_dropout=0.2,
    residual_dropout=0.15,
)

model = dict(
    type='MultimodalPredictor',
    data_preprocessor=dict(type='MultimodalDataPreprocessor'),
    backbone=dict(
        type='MultimodalBackbone',
        modalities=modalities,
        encoders={
            modality: dict(type='SequenceEncoder', in_channels=width, num_layers=layers, **transformer)
            for modality, width in channels.items()
        },
        fusion=dict(type='TransformerFusion', num_layers=layers - 2, out_dropout=0.2, **transformer),
    ),
    mask_padding=False,  # as published
    dim=transformer['dim'],
    outputs=num_classes,
    loss=dict(type='torch.nn.CrossEntropyLoss'),
)
guide = dict(type='SequenceGuide', outputs=num_classes, num_layers=2, **transformer)

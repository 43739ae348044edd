"""The paper's network for CMU-MOSI: a transformer a modality, and one over the tokens of all."""

channels = dict(text=768, audio=5, vision=20)
modalities = tuple(channels)
layers = 5
transformer = dict(
    dim=40,
    num_heads=5,
    attention_dropout=0.15,
    relu_dropout=0.15,
    embed_dropout=0.2,
    residual_dropout=0.1,
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
        fusion=dict(type='TransformerFusion', num_layers=layers - 2, out_dropout=0.1, **transformer),
    ),
    mask_padding=False,  # as published
    dim=transformer['dim'],
    outputs=1,
    loss=dict(type='torch.nn.L1Loss'),
)
guide = dict(type='SequenceGuide', outputs=1, num_layers=2, **transformer)

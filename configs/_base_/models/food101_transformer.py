"""The paper's network for Food-101: frozen ViT-B/16 and BERT, then transformers as for CMU-MOSI."""

modalities = ('image', 'text')
layers = 4
transformer = dict(
    dim=40,
    num_heads=5,
    attention_dropout=0.2,
    relu_dropout=0.15,
    embed_dropout=0.2,
    residual_dropout=0.15,
)
backbones = dict(  # frozen=False trains them
    image=dict(type='ViTImageEncoder', path='data/pretrained/vit-base-patch16-224', frozen=True),
    text=dict(type='BertTextEncoder', path='data/pretrained/bert-base-uncased', frozen=True),
)
# As published, although this ViT was trained on [-1, 1], which is mean 127.5 and std 127.5.
preprocessing = dict(type='MultimodalDataPreprocessor', std=dict(image=255.0))

model = dict(
    type='MultimodalPredictor',
    data_preprocessor=preprocessing,
    backbone=dict(
        type='MultimodalBackbone',
        modalities=modalities,
        encoders={
            modality: dict(
                type='PretrainedSequenceEncoder',
                backbone=backbone,
                mask_padding=False,  # as published: only BERT knows what is padding
                num_layers=layers,
                **transformer,
            )
            for modality, backbone in backbones.items()
        },
        fusion=dict(type='TransformerFusion', num_layers=layers - 2, out_dropout=0.1, **transformer),
    ),
    dim=transformer['dim'],
    outputs=101,
    loss=dict(type='torch.nn.CrossEntropyLoss'),
)
guide = dict(type='SequenceGuide', outputs=101, num_layers=2, **transformer)

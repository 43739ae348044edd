"""``food101.py`` on features of ViT and BERT that were computed once, an epoch in a fraction of the time.

python tools/dataset_converters/cache_features.py configs/cggm/food101_cached.py --views 4
"""

_base_ = ['./food101.py']

features = dict(
    _delete_=True,
    type='CachedFeatureDataset',
    data_root='data/food101_features',
    backbones=_base_.backbones,
    data_preprocessor=_base_.preprocessing,
)
train_dataloader = dict(dataset=dict(split='train', source=_base_.train_dataloader.dataset, **features))
val_dataloader = dict(dataset=dict(split='test', source=_base_.val_dataloader.dataset, **features))
test_dataloader = val_dataloader
encoder = dict(
    _delete_=True, type='SequenceEncoder', in_channels=768, num_layers=_base_.layers, **_base_.transformer
)
model = dict(
    model=dict(
        data_preprocessor=dict(_delete_=True, type='MultimodalDataPreprocessor'),
        mask_padding=False,
        backbone=dict(encoders=dict.fromkeys(_base_.modalities, encoder)),
    )
)

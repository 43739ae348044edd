"""Training on CMU-MOSI's utterances with a guide a modality, which watches: nothing is balanced.

No video is in two splits; the videos that validate are of those that test in the source.
"""

_base_ = ['./features_classification.py']

modalities = dict(text=100, audio=73, video=100)
utterances = dict(
    data_root='data/mosi_utterances',
    inputs={modality: f'mosi_utterances.npz:{modality}' for modality in modalities},
    labels='mosi_utterances.npz:label',
    classes=2,
    groups='mosi_utterances.npz:group',
    splits='mosi_utterances.npz:split',
    obtain='To download and convert the features: docs/real_sets.md.',
)
train_dataloader = dict(dataset=utterances)
val_dataloader = dict(dataset=utterances)
test_dataloader = dict(dataset=utterances)
model = dict(model=dict(backbone=dict(in_channels=modalities), outputs=2))

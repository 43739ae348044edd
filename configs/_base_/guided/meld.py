"""Training on MELD's dev utterances with a guide a modality, which watches: nothing is balanced.

No dialogue is in two splits.
"""

_base_ = ['./features_classification.py']

modalities = dict(text=768, audio=768, vision=35)
utterances = dict(
    data_root='data/meld',
    inputs={modality: f'meld.npz:{modality}' for modality in modalities},
    labels='meld.npz:label',
    classes=7,
    groups='meld.npz:dialogue',
    splits=dict(train=0.6, val=0.2, test=0.2),
    obtain='To download and convert the features: docs/real_sets.md.',
)
train_dataloader = dict(dataset=utterances)
val_dataloader = dict(dataset=utterances)
test_dataloader = dict(dataset=utterances)
model = dict(model=dict(backbone=dict(in_channels=modalities), outputs=7))

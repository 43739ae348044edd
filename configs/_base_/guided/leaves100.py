"""Training on three views of 100 Leaves with a guide each, which watches: nothing is balanced."""

_base_ = ['./features_classification.py']

views = dict(shape=0, texture=1, margin=2)  # places in the file
leaves = dict(
    data_root='data/leaves100',
    inputs={view: f'100leaves.mat:X/{place}' for view, place in views.items()},
    labels='100leaves.mat:Y',
    classes=tuple(range(1, 101)),
    splits=dict(train=0.5, val=0.25, test=0.25),  # 8, 4 and 4 of each species
    obtain='To download the file: docs/real_sets.md.',
)
train_dataloader = dict(dataset=leaves)
val_dataloader = dict(dataset=leaves)
test_dataloader = dict(dataset=leaves)
model = dict(model=dict(backbone=dict(in_channels=dict.fromkeys(views, 64)), outputs=100))

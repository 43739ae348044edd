"""Training on exercises that a watch recorded, with a guide a sensor, which watches: nothing is balanced.

No subject is in two splits: six train, two validate, two test.
"""

_base_ = ['./features_classification.py']

sensors = dict(accelerometer=15, gyroscope=15)
windows = dict(
    data_root='data/watch',
    inputs={sensor: f'watch.npz:{sensor}' for sensor in sensors},
    labels='watch.npz:label',
    classes=('PEN', 'ABD', 'FEL', 'IR', 'ER', 'TRAP', 'ROW'),
    groups='watch.npz:subject',
    splits=dict(train=0.6, val=0.2, test=0.2),
    obtain='To download and convert the recordings: docs/real_sets.md.',
)
train_dataloader = dict(dataset=windows)
val_dataloader = dict(dataset=windows)
test_dataloader = dict(dataset=windows)
model = dict(model=dict(backbone=dict(in_channels=sensors), outputs=7))

"""Training on three omics of TCGA-BRCA with a guide each, which watches: nothing is balanced."""

_base_ = ['./features_classification.py']

omics = dict(rna=200, methylation=400, mirna=100)
patients = dict(
    data_root='data/brca',
    inputs={name: f'{name}.csv' for name in omics},
    labels='target.csv:target',
    classes=5,
    splits=dict(train=0.6, val=0.2, test=0.2),
    obtain='To download the tables: docs/real_sets.md.',
)
train_dataloader = dict(dataset=patients)
val_dataloader = dict(dataset=patients)
test_dataloader = dict(dataset=patients)
model = dict(model=dict(backbone=dict(in_channels=omics), outputs=5))

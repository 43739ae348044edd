"""Joint training beside each modality alone, for a benchmark that names its ``data``; nothing is searched.

All train three times as long as the set's config says, so that what is left is no matter of speed. In joint
training each guide has its control, a guide on the untrained encoder.
"""

methods = {'joint': dict(config='configs/baseline/{data}.py')}
settings = {
    '90 epochs': {
        'train_cfg.max_epochs': 90,
        'train_cfg.val_interval': 3,
        'custom_hooks': [dict(type='StandardisationHook'), dict(type='GuideScoreHook', control=True)],
    }
}
baseline = 'joint'
seeds = list(range(10))
checkpoint = 'best'
search = None

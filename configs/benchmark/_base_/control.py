"""The baselines and some methods on a set without an imbalance, for a benchmark that names ``data`` and
``modalities``. Each seed also splits the set anew, and nothing is searched.

All train as long as for the set's admission.
"""

methods = {
    name: dict(config=f'configs/{folder}/{{data}}.py')
    for name, folder in {
        'joint': 'baseline',
        'multi-loss': 'multi_loss',
        'MMPareto': 'mmpareto',
        'CGGM': 'cggm',
        'OGM': 'ogm',
    }.items()
}
settings = {'90 epochs': {'train_cfg.max_epochs': 90, 'train_cfg.val_interval': 3}}
baseline = 'joint'
references = ['multi-loss']
seeds = list(range(10))
seeded = [f'{split}_dataloader.dataset.seed' for split in ('train', 'val', 'test')]
checkpoint = 'best'
search = None

"""CGGM on UCI Multiple Features against joint training and each view alone, in two strengths of noise."""

views = ('fac', 'fou', 'kar', 'mor', 'pix', 'zer')
methods = {
    'joint': dict(config='configs/baseline/mfeat.py'),
    **{f'{view} alone': dict(config=f'configs/single/mfeat_{view}.py') for view in views},
    'CGGM': dict(config='configs/cggm/mfeat.py'),
    'CGGM smoothed': dict(config='configs/cggm/mfeat_smoothed.py'),
}
settings = {
    f'noise {noise}': {f'{split}_dataloader.dataset.noise': noise for split in ('train', 'val', 'test')}
    for noise in (2.0, 3.0)
}
seeds = list(range(5))
baseline = 'joint'
metrics = ['accuracy', *(f'guide/{view}' for view in views)]
checkpoint = 'best'

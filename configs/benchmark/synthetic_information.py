"""Joint training, balancing and single modalities on the synthetic family, five unique shares, no search.

``tools/analysis_tools/information_curve.py`` runs it and draws the curve.
"""

data = 'synthetic_information'
modalities = ('easy', 'hard')
splits = ('train', 'val', 'test')
shares = (0.0, 0.25, 0.5, 0.75, 1.0)  # of samples whose label is in one modality alone
settings = {
    f'unique {share:g}': {
        f'{split}_dataloader.dataset.{key}': value
        for split in splits
        for key, value in {'shared': 1 - share, 'unique.easy': share / 2, 'unique.hard': share / 2}.items()
    }
    for share in shares
}
methods = {
    'joint': dict(config='configs/baseline/{data}.py'),
    'multi-loss': dict(config='configs/multi_loss/{data}.py'),
    'MMPareto': dict(config='configs/mmpareto/{data}.py'),
    'CGGM': dict(config='configs/cggm/{data}.py'),
    'CGGM teaching': dict(config='configs/cggm/{data}_teaching.py'),
    'CGGM paper': dict(config='configs/cggm/{data}_paper.py'),
    **{
        f'{modality} alone': dict(config='configs/single/{data}.py', overrides={'model.only': modality})
        for modality in modalities
    },
}
baseline = 'joint'
seeds = list(range(5))
checkpoint = 'best'
search = None
metrics = [
    'accuracy',
    *(f'{guide}/{modality}' for guide in ('guide', 'guide_untrained') for modality in modalities),
]

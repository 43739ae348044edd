"""Whether UCI Multiple Features is a set to compare balancing on, see docs/mfeat.md."""

_base_ = ['./_base_/admission.py']

data = 'mfeat'
modalities = ('fac', 'fou', 'kar', 'mor', 'pix', 'zer')
methods = {
    f'{modality} alone': dict(config='configs/single/{data}.py', overrides={'model.only': modality})
    for modality in modalities
}
settings = dict(
    _delete_=True,
    **{
        '36 epochs': {'train_cfg.max_epochs': 36, 'custom_hooks': [dict(type='GuideScoreHook', control=True)]}
    },
)
metrics = [
    'accuracy',
    *(f'{guide}/{modality}' for guide in ('guide', 'guide_untrained') for modality in modalities),
]

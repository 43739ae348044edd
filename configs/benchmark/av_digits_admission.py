"""Whether AV digits is a set to compare balancing on, see docs/av_digits.md."""

_base_ = ['./_base_/admission.py']

data = 'av_digits'
modalities = ('audio', 'image')
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

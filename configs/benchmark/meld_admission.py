"""Whether MELD's dev utterances are a set to compare balancing on, see docs/real_sets.md."""

_base_ = ['./_base_/admission.py']

data = 'meld'
modalities = ('text', 'audio', 'vision')
methods = {
    f'{modality} alone': dict(config='configs/single/{data}.py', overrides={'model.only': modality})
    for modality in modalities
}
metrics = [
    'accuracy',
    *(f'{guide}/{modality}' for guide in ('guide', 'guide_untrained') for modality in modalities),
]

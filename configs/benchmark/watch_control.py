"""What balancing does on exercises that a watch recorded, a set without an imbalance that it could mend."""

_base_ = ['./_base_/control.py']

data = 'watch'
modalities = ('accelerometer', 'gyroscope')
methods = {
    **{
        f'{name} alone': dict(config='configs/single/{data}.py', overrides={'model.only': name})
        for name in modalities
    },
    **{
        f'pretrained {how}': dict(
            config='configs/pretrained/{data}.py',
            overrides={'model.freeze': how == 'frozen'},
            after={f'model.pretrained.{name}': f'{name} alone' for name in modalities},
        )
        for how in ('frozen', 'finetuned')
    },
}
ensembles = {
    f'ensemble of {what}': dict(methods=[f'{name} alone' for name in modalities], of=what)
    for what in ('probabilities', 'logits')
}
metrics = ['accuracy', 'validation', *(f'guide/{name}' for name in modalities)]

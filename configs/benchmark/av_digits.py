"""Every method on spoken and handwritten digits, trained until joint training gains nothing more.

Each method tries four candidates of its config, drawn from the learning rates and limits on the gradient
below and from its own range, and is tested as the one that is best on the validation split. All train for 36
epochs, after which the validation accuracy of joint training is 0.997.
"""

_base_ = ['./_base_/methods.py']

data = 'av_digits'
modalities = ('audio', 'image')
methods = {
    **{
        f'joint {times} epochs': dict(
            config='configs/baseline/{data}.py',
            overrides={'train_cfg.max_epochs': times},
            seeds=list(range(5)),
        )
        for times in (72, 108)
    },
    **{
        f'{name} alone': dict(config='configs/single/{data}.py', overrides={'model.only': name})
        for name in modalities
    },
    # Below a half AMCo would mask both modalities.
    'AMCo': dict(space={'optim_wrapper.balancer.sigma': [0.5, 0.6, 0.7]}),
    # Rates that differ from the start, as the method's other strategy has them.
    'MSLR': dict(space={'optim_wrapper.balancer.factors': [[1.0, 1.0], [2.0, 1.0], [1.0, 2.0]]}),
    'UMT': dict(after={f'model.teachers.{name}': f'{name} alone' for name in modalities}),
    **{
        f'pretrained {how}': dict(after={f'model.pretrained.{name}': f'{name} alone' for name in modalities})
        for how in ('frozen', 'finetuned')
    },
}
settings = {'noise 0.3': {'train_cfg.max_epochs': 36, 'train_cfg.val_interval': 1}}
search = dict(
    budget=4,
    seeds=[100],
    space={'optim_wrapper.optimizer.lr': [0.1, 0.2, 0.4], 'optim_wrapper.clip_grad.max_norm': [0.8, 3.0]},
)
ensembles = {
    f'ensemble of {what}': dict(methods=[f'{name} alone' for name in modalities], of=what)
    for what in ('probabilities', 'logits')
}
metrics = ['accuracy', 'validation', 'limited_share', *(f'guide/{name}' for name in modalities)]

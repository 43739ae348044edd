"""Every method on UCI Multiple Features, six views of the same digit, in a long training.

Each method tries four candidates of its config, drawn from the learning rates and limits on the gradient
below and from its own range, and is tested as the one that is best on the validation split. All train for 72
epochs; joint training also for twice and three times as many, since its fusion goes on learning
(docs/comparison.md). AGM is left out: with six views it takes twelve times as long.
"""

_base_ = ['./_base_/methods.py']

data = 'mfeat'
views = ('fac', 'fou', 'kar', 'mor', 'pix', 'zer')
methods = {
    **{
        f'joint {times} epochs': dict(
            config='configs/baseline/{data}.py',
            overrides={'train_cfg.max_epochs': times},
            seeds=list(range(5)),
        )
        for times in (144, 216)
    },
    **{
        f'{view} alone': dict(config='configs/single/{data}.py', overrides={'model.only': view})
        for view in views
    },
    # In six times the epochs of their configs.
    'MSES': dict(space={'optim_wrapper.balancer.patience': [5, 10, 20]}),
    'Gradient-Blending': dict(space={'optim_wrapper.balancer.super_epoch': [3, 6, 12]}),
    'UMT': dict(after={f'model.teachers.{view}': f'{view} alone' for view in views}),
    **{
        f'pretrained {how}': dict(after={f'model.pretrained.{view}': f'{view} alone' for view in views})
        for how in ('frozen', 'finetuned')
    },
}
_base_.methods.pop('AGM')
settings = {'noise 2': {'train_cfg.max_epochs': 72, 'train_cfg.val_interval': 1}}
search = dict(
    budget=4,
    seeds=[100],
    space={'optim_wrapper.optimizer.lr': [0.015, 0.03, 0.06], 'optim_wrapper.clip_grad.max_norm': [0.8, 3.0]},
)
ensembles = {
    f'ensemble of {what}': dict(methods=[f'{name} alone' for name in views], of=what)
    for what in ('probabilities', 'logits')
}
metrics = ['accuracy', 'validation', 'limited_share', *(f'guide/{view}' for view in views)]

"""Every method on UCI Multiple Features, six views of the same digit.

Each method tries four candidates of its config in each setting, drawn from the learning rates and limits on
the gradient below and from its own range, and is tested as the one that is best on the validation split.
"""

_base_ = ['./_base_/methods.py']

data = 'mfeat'
views = ('fac', 'fou', 'kar', 'mor', 'pix', 'zer')
methods = {
    'joint 72 epochs': dict(config='configs/baseline/{data}.py', overrides={'train_cfg.max_epochs': 72}),
    **{
        f'{view} alone': dict(config='configs/single/{data}.py', overrides={'model.only': view})
        for view in views
    },
    'UMT': dict(after={f'model.teachers.{view}': f'{view} alone' for view in views}),
    **{
        f'pretrained {how}': dict(after={f'model.pretrained.{view}': f'{view} alone' for view in views})
        for how in ('frozen', 'finetuned')
    },
}
settings = {'noise 2': {}}
search = dict(
    budget=4,
    seeds=[100],
    space={'optim_wrapper.optimizer.lr': [0.015, 0.03, 0.06], 'optim_wrapper.clip_grad.max_norm': [0.8, 3.0]},
)
metrics = ['accuracy', *(f'guide/{view}' for view in views)]

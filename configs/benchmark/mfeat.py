"""Every method on UCI Multiple Features, six views of the same digit.

Each method tries four candidates of its config in each setting, drawn from the learning rates and limits on
the gradient below and from its own range, and is tested as the one that is best on the validation split.
"""

views = ('fac', 'fou', 'kar', 'mor', 'pix', 'zer')
methods = {
    'joint': dict(config='configs/baseline/mfeat.py'),
    'joint 72 epochs': dict(config='configs/baseline/mfeat.py', overrides={'train_cfg.max_epochs': 72}),
    **{f'{view} alone': dict(config=f'configs/single/mfeat_{view}.py') for view in views},
    'CGGM': dict(
        config='configs/cggm/mfeat.py',
        space={
            'optim_wrapper.balancer.rho': [1.0, 1.3, 'neutral'],
            'optim_wrapper.balancer.lam': [0.05, 0.1, 0.2],
        },
    ),
    'CGGM smoothed': dict(
        config='configs/cggm/mfeat_smoothed.py', space={'optim_wrapper.balancer.lam': [0.0, 0.1, 0.2]}
    ),
    'CGGM teaching': dict(
        config='configs/cggm/mfeat_teaching.py', space={'optim_wrapper.balancer.teach': [0.3, 1.0, 2.0]}
    ),
    'OGM': dict(config='configs/ogm/mfeat.py', space={'optim_wrapper.balancer.alpha': [0.1, 0.3, 0.8]}),
    'OGM-GE': dict(config='configs/ogm/mfeat_ge.py', space={'optim_wrapper.balancer.alpha': [0.1, 0.3, 0.8]}),
    'AGM': dict(config='configs/agm/mfeat.py', space={'optim_wrapper.balancer.alpha': [0.5, 1.0, 2.5]}),
    'OPM': dict(config='configs/opm/mfeat.py', space={'optim_wrapper.balancer.q_base': [0.3, 0.5, 0.7]}),
    'PMR': dict(config='configs/pmr/mfeat.py', space={'optim_wrapper.balancer.alpha': [0.5, 1.0, 2.0]}),
    'MMPareto': dict(
        config='configs/mmpareto/mfeat.py', space={'optim_wrapper.balancer.gamma': [1.2, 1.5, 2.0]}
    ),
    'MSLR': dict(config='configs/mslr/mfeat.py', space={'optim_wrapper.balancer.history': [3, 5]}),
    'MSES': dict(config='configs/mses/mfeat.py', space={'optim_wrapper.balancer.patience': [2, 3, 5]}),
    'Gradient-Blending': dict(
        config='configs/gradient_blending/mfeat.py', space={'optim_wrapper.balancer.super_epoch': [2, 3, 4]}
    ),
    'Greedy': dict(config='configs/greedy/mfeat.py', space={'optim_wrapper.balancer.window': [5, 10, 20]}),
    'ReLearning': dict(
        config='configs/relearning/mfeat.py', space={'optim_wrapper.balancer.lam': [1.0, 3.0, 10.0]}
    ),
    'MLA': dict(config='configs/mla/mfeat.py', space={'optim_wrapper.balancer.alpha': [0.01, 0.03, 0.1]}),
    'ReconBoost': dict(
        config='configs/reconboost/mfeat.py', space={'optim_wrapper.balancer.lam': [0.1, 0.2, 0.5]}
    ),
    'SMV': dict(
        config='configs/smv/mfeat.py', space={'optim_wrapper.balancer.level': ['sample', 'modality']}
    ),
    'LFM': dict(config='configs/lfm/mfeat.py'),
    'AMCo': dict(config='configs/amco/mfeat.py', space={'optim_wrapper.balancer.sigma': [0.3, 0.5, 0.7]}),
    'CML': dict(config='configs/cml/mfeat.py', space={'optim_wrapper.balancer.lam': [0.1, 1.0, 6.4]}),
    'MBSD': dict(config='configs/mbsd/mfeat.py'),
    'MMCosine': dict(config='configs/mmcosine/mfeat.py', space={'model.model.head.scale': [5.0, 10.0, 20.0]}),
    'UMT': dict(
        config='configs/umt/mfeat.py',
        after={f'model.teachers.{view}': f'{view} alone' for view in views},
        space={'optim_wrapper.balancer.lam': [0.1, 1.0, 10.0]},
    ),
}
settings = {'noise 2': {}}
search = dict(
    budget=4,
    seeds=[100],
    space={'optim_wrapper.optimizer.lr': [0.015, 0.03, 0.06], 'optim_wrapper.clip_grad.max_norm': [0.8, 3.0]},
)
seeds = list(range(5))
baseline = 'joint'
metrics = ['accuracy', *(f'guide/{view}' for view in views)]
checkpoint = 'best'

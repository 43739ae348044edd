"""Every method on spoken and handwritten digits, in two balances of the modalities.

Each method tries three candidates of its config in each setting, drawn from the learning rates and limits on
the gradient below and from its own range, and is tested as the one that is best on the validation split.
"""

methods = {
    'joint': dict(config='configs/baseline/av_digits.py'),
    'joint 24 epochs': dict(config='configs/baseline/av_digits.py', overrides={'train_cfg.max_epochs': 24}),
    'audio alone': dict(config='configs/single/av_digits_audio.py'),
    'image alone': dict(config='configs/single/av_digits_image.py'),
    'CGGM': dict(
        config='configs/cggm/av_digits.py',
        space={
            'optim_wrapper.balancer.rho': [1.0, 1.3, 'neutral'],
            'optim_wrapper.balancer.lam': [0.05, 0.1, 0.2],
        },
    ),
    'CGGM smoothed': dict(
        config='configs/cggm/av_digits_smoothed.py', space={'optim_wrapper.balancer.lam': [0.0, 0.1, 0.2]}
    ),
    'CGGM teaching': dict(
        config='configs/cggm/av_digits_teaching.py', space={'optim_wrapper.balancer.teach': [0.3, 1.0, 2.0]}
    ),
    'OGM': dict(config='configs/ogm/av_digits.py', space={'optim_wrapper.balancer.alpha': [0.1, 0.3, 0.8]}),
    'OGM-GE': dict(
        config='configs/ogm/av_digits_ge.py', space={'optim_wrapper.balancer.alpha': [0.1, 0.3, 0.8]}
    ),
    'AGM': dict(config='configs/agm/av_digits.py', space={'optim_wrapper.balancer.alpha': [0.5, 1.0, 2.5]}),
    'OPM': dict(config='configs/opm/av_digits.py', space={'optim_wrapper.balancer.q_base': [0.3, 0.5, 0.7]}),
    'PMR': dict(config='configs/pmr/av_digits.py', space={'optim_wrapper.balancer.alpha': [0.5, 1.0, 2.0]}),
    'MMPareto': dict(
        config='configs/mmpareto/av_digits.py', space={'optim_wrapper.balancer.gamma': [1.2, 1.5, 2.0]}
    ),
    'MSLR': dict(config='configs/mslr/av_digits.py', space={'optim_wrapper.balancer.history': [3, 5]}),
    'MSES': dict(config='configs/mses/av_digits.py', space={'optim_wrapper.balancer.patience': [2, 3, 5]}),
    'Gradient-Blending': dict(
        config='configs/gradient_blending/av_digits.py',
        space={'optim_wrapper.balancer.super_epoch': [2, 3, 4]},
    ),
    'Greedy': dict(
        config='configs/greedy/av_digits.py', space={'optim_wrapper.balancer.window': [5, 10, 20]}
    ),
    'ReLearning': dict(
        config='configs/relearning/av_digits.py', space={'optim_wrapper.balancer.lam': [1.0, 3.0, 10.0]}
    ),
    'MLA': dict(config='configs/mla/av_digits.py', space={'optim_wrapper.balancer.alpha': [0.01, 0.03, 0.1]}),
    'ReconBoost': dict(
        config='configs/reconboost/av_digits.py', space={'optim_wrapper.balancer.lam': [0.1, 0.2, 0.5]}
    ),
    'SMV': dict(
        config='configs/smv/av_digits.py', space={'optim_wrapper.balancer.level': ['sample', 'modality']}
    ),
    'LFM': dict(config='configs/lfm/av_digits.py'),
    'AMCo': dict(config='configs/amco/av_digits.py', space={'optim_wrapper.balancer.sigma': [0.3, 0.5, 0.7]}),
    'CML': dict(config='configs/cml/av_digits.py', space={'optim_wrapper.balancer.lam': [0.1, 1.0, 6.4]}),
    'MBSD': dict(config='configs/mbsd/av_digits.py'),
    'MMCosine': dict(
        config='configs/mmcosine/av_digits.py', space={'model.model.head.scale': [5.0, 10.0, 20.0]}
    ),
    'UMT': dict(
        config='configs/umt/av_digits.py',
        after={f'model.teachers.{m}': f'{m} alone' for m in ('audio', 'image')},
        space={'optim_wrapper.balancer.lam': [0.1, 1.0, 10.0]},
    ),
}
# Noise on the images moves the balance to the audio.
settings = {
    f'noise {noise}': {f'{split}_dataloader.dataset.image_noise': noise for split in ('train', 'val', 'test')}
    for noise in (0.3, 0.7)
}
search = dict(
    budget=3,
    seeds=[100],
    space={'optim_wrapper.optimizer.lr': [0.1, 0.2, 0.4], 'optim_wrapper.clip_grad.max_norm': [0.8, 3.0]},
)
seeds = list(range(5))
baseline = 'joint'
metrics = ['accuracy', 'guide/audio', 'guide/image']
checkpoint = 'best'

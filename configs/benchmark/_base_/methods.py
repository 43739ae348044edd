"""Every method with its own range, for a benchmark that names its ``data`` and adds the single modalities.

``CGGM`` has the recommended settings, ``CGGM paper`` the paper's. UMT and the pretrained ones also need the
trainings that come before them, see ``after`` in the benchmarks of this folder.
"""

methods = {
    'joint': dict(config='configs/baseline/{data}.py'),
    'multi-loss': dict(
        config='configs/multi_loss/{data}.py', space={'optim_wrapper.balancer.weight': [0.3, 1.0, 3.0]}
    ),
    'pretrained frozen': dict(config='configs/pretrained/{data}.py', overrides={'model.freeze': True}),
    'pretrained finetuned': dict(config='configs/pretrained/{data}.py'),
    'CGGM paper': dict(
        config='configs/cggm/{data}_paper.py',
        space={
            'optim_wrapper.balancer.rho': [1.0, 1.3, 'neutral'],
            'optim_wrapper.balancer.lam': [0.05, 0.1, 0.2],
        },
    ),
    'CGGM': dict(config='configs/cggm/{data}.py', space={'optim_wrapper.balancer.lam': [0.0, 0.1, 0.2]}),
    'CGGM teaching': dict(
        config='configs/cggm/{data}_teaching.py', space={'optim_wrapper.balancer.teach': [0.3, 1.0, 2.0]}
    ),
    'OGM': dict(config='configs/ogm/{data}.py', space={'optim_wrapper.balancer.alpha': [0.1, 0.3, 0.8]}),
    'OGM-GE': dict(
        config='configs/ogm/{data}_ge.py', space={'optim_wrapper.balancer.alpha': [0.1, 0.3, 0.8]}
    ),
    'AGM': dict(config='configs/agm/{data}.py', space={'optim_wrapper.balancer.alpha': [0.5, 1.0, 2.5]}),
    'OPM': dict(config='configs/opm/{data}.py', space={'optim_wrapper.balancer.q_base': [0.3, 0.5, 0.7]}),
    'PMR': dict(config='configs/pmr/{data}.py', space={'optim_wrapper.balancer.alpha': [0.5, 1.0, 2.0]}),
    'MMPareto': dict(
        config='configs/mmpareto/{data}.py', space={'optim_wrapper.balancer.gamma': [1.2, 1.5, 2.0]}
    ),
    'MSLR': dict(config='configs/mslr/{data}.py', space={'optim_wrapper.balancer.history': [3, 5]}),
    'MSES': dict(config='configs/mses/{data}.py', space={'optim_wrapper.balancer.patience': [2, 3, 5]}),
    'Gradient-Blending': dict(
        config='configs/gradient_blending/{data}.py',
        space={'optim_wrapper.balancer.super_epoch': [2, 3, 4]},
    ),
    'Greedy': dict(config='configs/greedy/{data}.py', space={'optim_wrapper.balancer.window': [5, 10, 20]}),
    'ReLearning': dict(
        config='configs/relearning/{data}.py', space={'optim_wrapper.balancer.lam': [1.0, 3.0, 10.0]}
    ),
    'MLA': dict(config='configs/mla/{data}.py', space={'optim_wrapper.balancer.alpha': [0.01, 0.03, 0.1]}),
    'ReconBoost': dict(
        config='configs/reconboost/{data}.py', space={'optim_wrapper.balancer.lam': [0.1, 0.2, 0.5]}
    ),
    'SMV': dict(
        config='configs/smv/{data}.py', space={'optim_wrapper.balancer.level': ['sample', 'modality']}
    ),
    'LFM': dict(config='configs/lfm/{data}.py'),
    'DGL': dict(config='configs/dgl/{data}.py', space={'optim_wrapper.balancer.alpha': [1.0, 2.0, 4.0]}),
    'DWA': dict(
        config='configs/dwa/{data}.py', space={'optim_wrapper.balancer.temperature': [0.5, 1.0, 2.0]}
    ),
    'MLB': dict(config='configs/mlb/{data}.py', space={'optim_wrapper.balancer.alpha': [0.3, 0.8, 2.0]}),
    'MIMO': dict(
        config='configs/mimo/{data}.py',
        space={'optim_wrapper.balancer.lam': [0.5, 1.0, 3.0], 'optim_wrapper.balancer.mu': [0.3, 1.0, 5.0]},
    ),
    'InfoReg': dict(
        config='configs/inforeg/{data}.py', space={'optim_wrapper.balancer.beta': [0.1, 1.0, 2.0]}
    ),
    'MCR': dict(config='configs/mcr/{data}.py', space={'optim_wrapper.balancer.lam_mipd': [0.1, 1.0, 3.0]}),
    'MIDAS': dict(config='configs/midas/{data}.py', space={'optim_wrapper.balancer.lam': [0.3, 1.0]}),
    'Data Remixing': dict(
        config='configs/data_remixing/{data}.py', space={'optim_wrapper.balancer.gamma': [0.3, 1.0, 2.0]}
    ),
    'AGS': dict(config='configs/ags/{data}.py', space={'optim_wrapper.balancer.alpha': [0.01, 0.1, 1.0]}),
    'PDMP': dict(config='configs/pdmp/{data}.py', space={'optim_wrapper.balancer.gamma_r': [0.25, 0.5, 0.8]}),
    'AMCo': dict(
        config='configs/amco/{data}.py',
        space={
            'optim_wrapper.balancer.sigma': [0.3, 0.5, 0.7],
            'optim_wrapper.balancer.eps': [0.3, 0.6, 1.0],
        },
    ),
    'CML': dict(config='configs/cml/{data}.py', space={'optim_wrapper.balancer.lam': [0.1, 1.0, 6.4]}),
    'MBSD': dict(config='configs/mbsd/{data}.py', space={'optim_wrapper.balancer.weight': [0.1, 0.3, 1.0]}),
    'MMCosine': dict(
        config='configs/mmcosine/{data}.py', space={'model.model.head.scale': [5.0, 10.0, 20.0]}
    ),
    'modality dropout': dict(
        config='configs/modality_dropout/{data}.py', space={'optim_wrapper.balancer.p': [0.1, 0.3, 0.5]}
    ),
    # What MMCosine has beside its cosines: a head on the concatenation.
    'joint without projection': dict(
        config='configs/mmcosine/{data}.py',
        overrides={'model.model.head': dict(_delete_=True, type='torch.nn.Linear')},
    ),
    'UMT': dict(config='configs/umt/{data}.py', space={'optim_wrapper.balancer.lam': [0.1, 1.0, 10.0]}),
}
# The baselines, CGGM and those that led on some set have more seeds, so that differences show.
ten_seeds = (
    'joint',
    'multi-loss',
    'pretrained frozen',
    'pretrained finetuned',
    'CGGM paper',
    'CGGM',
    'CGGM teaching',
    'DGL',
    'DWA',
    'Gradient-Blending',
    'MCR',
    'MLA',
    'MMPareto',
    'MSES',
    'UMT',
)
for name in set(methods) - set(ten_seeds):
    methods[name]['seeds'] = list(range(5))
baseline = 'joint'
references = ['multi-loss']
seeds = list(range(10))
checkpoint = 'best'

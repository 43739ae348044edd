"""Joint training, multi-loss and CGGM as it is recommended, in 3D on the BraTS phantom.

The configs ``configs/*/brats_unet3d_small.py`` on the demo's data (``make demo`` makes it), shortened to 540
steps. Nothing is searched, and the end of the training is tested on all held-out cases.
"""

epochs = 6
methods = {
    'joint': dict(config='configs/baseline/brats_unet3d_small.py'),
    'multi-loss': dict(
        config='configs/cggm/brats_unet3d_small.py',
        overrides={'optim_wrapper.balancer': [dict(type='MultiLoss')]},
    ),
    'CGGM': dict(config='configs/cggm/brats_unet3d_small.py'),
}
settings = {
    'phantom': {
        **{
            f'{split}_dataloader.dataset.data_root': 'data/brats_phantom'
            for split in ('train', 'val', 'test')
        },
        **{f'{split}_dataloader.num_workers': 0 for split in ('train', 'val', 'test')},
        **{f'{split}_dataloader.persistent_workers': False for split in ('train', 'val')},
        'param_scheduler': [
            dict(type='LinearLR', start_factor=0.1, begin=0, end=20, by_epoch=False),
            dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=epochs, convert_to_iter_based=True),
        ],
        'train_cfg.max_epochs': epochs,
        'train_cfg.val_interval': epochs + 1,  # without a validation
    }
}
baseline = 'joint'
seeds = [0, 1, 2]
metrics = [f'{measure}_{region}' for measure in ('Dice', 'HD95') for region in ('mean', 'WT', 'TC', 'ET')]
checkpoint = 'last'
search = None

"""How fast the U-Net of ``configs/*/brats_unet.py`` learns the BraTS phantom, whose lesions are synthetic.

Joint training and CGGM as it is recommended and as it is published, each by its own config, on the demo's
data (``make demo`` makes it): three short epochs of small batches, of every tumour slice and a fifth as many
others, with a narrow network, a smaller crop and the demo's learning rates. Nothing is searched. The end of
the training is tested on four whole volumes.
"""

channels = (4, 8, 16, 32, 64)
epochs = 3
network = {
    'backbone.encoder.channels': channels,
    'backbone.fusion.in_channels': channels,
    'backbone.fusion.out_channels': channels,
    'decode_head.in_channels': channels,
}
guided = {
    **{f'model.model.{key}': value for key, value in network.items()},
    'model.guide.head.in_channels': channels[2:],
    'model.guide.head.channels': channels[0],
    'optim_wrapper.guide_optimizer.lr': 0.06,
}
methods = {
    'joint': dict(
        config='configs/baseline/brats_unet.py',
        overrides={f'model.{key}': value for key, value in network.items()},
    ),
    'CGGM': dict(config='configs/cggm/brats_unet.py', overrides=guided),
    'CGGM paper': dict(config='configs/cggm/brats_unet_paper.py', overrides=guided),
}
settings = {
    'phantom': {
        **{
            f'{split}_dataloader.dataset.data_root': 'data/brats_phantom'
            for split in ('train', 'val', 'test')
        },
        **{f'{split}_dataloader.num_workers': 0 for split in ('train', 'val', 'test')},
        **{f'{split}_dataloader.persistent_workers': False for split in ('train', 'val')},
        'train_dataloader.batch_size': 4,
        'train_dataloader.dataset.sample': 'tumour_slices',
        'train_dataloader.dataset.background': 0.2,
        'train_dataloader.dataset.pipeline.1.size': 96,
        'optim_wrapper.optimizer.lr': 0.1,
        'param_scheduler': [
            dict(type='LinearLR', start_factor=0.04, begin=0, end=20, by_epoch=False),
            dict(
                type='CosineAnnealingLR',
                eta_min=1e-4,
                begin=0,
                end=epochs,
                T_max=epochs,
                convert_to_iter_based=True,
            ),
        ],
        'train_cfg.max_epochs': epochs,
        'train_cfg.val_interval': epochs + 1,  # without a validation
        'test_dataloader.dataset.indices': 4,
    }
}
seeds = list(range(5))
baseline = 'joint'
metrics = ['Dice_mean', 'Dice_WT', 'Dice_TC', 'Dice_ET']
checkpoint = 'last'

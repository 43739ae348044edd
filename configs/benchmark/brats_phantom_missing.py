"""Dropout and balancing on the BraTS phantom, tested with all 15 subsets of its sequences.

Joint training, multi-loss and CGGM as it is recommended, each with and without modality dropout, with the
demo's config on the demo's data (``make demo`` makes it), half as wide. ``Dice_mean/subsets`` is the mean
over all subsets. Nothing is searched, and the end of the training is tested on four whole volumes.
"""

sequences = ('flair', 't1', 't1ce', 't2')  # as the config of each run has them, whose names MMEngine sorts
subsets = [[name for place, name in enumerate(sequences) if code >> place & 1] for code in range(1, 15)]
channels = (8, 16, 32, 64)
network = {
    'model.model.backbone.encoder.channels': channels,
    'model.model.backbone.fusion.in_channels': channels,
    'model.model.backbone.fusion.out_channels': channels,
    'model.model.decode_head.in_channels': channels,
    'model.guide.head.in_channels': channels[2:],
    'model.guide.head.channels': channels[0],
}
dropout = dict(type='ModalityDropout', p=0.3)
balancers = {
    'joint': [],
    'multi-loss': [dict(type='MultiLoss')],
    'CGGM': [dict(type='CGGM', rho='neutral', lam=0.0, progress=dict(type='SmoothedProgress'))],
}
methods = {
    'joint': dict(config='configs/_base_/guided/brats_unet_demo.py', overrides=network),
    **{
        ' + '.join([name, *(['dropout'] if drops else [])]): dict(
            config='configs/cggm/brats_unet_demo.py',
            overrides={**network, 'optim_wrapper.balancer': [*balancer, *([dropout] if drops else [])]},
        )
        for drops in (False, True)
        for name, balancer in balancers.items()
        if drops or balancer
    },
}
settings = {
    'phantom': {
        'train_cfg.val_interval': 5,  # without a validation
        'test_cfg.type': 'SubsetTestLoop',
        'test_dataloader.dataset.indices': 4,
    }
}
seeds = [0, 1, 2]
baseline = 'joint'
references = ['joint + dropout']
metrics = [
    'Dice_mean',
    *(f'Dice_{region}' for region in ('WT', 'TC', 'ET')),
    *(f'HD95_{region}' for region in ('WT', 'TC', 'ET')),
    *(f'Dice_{region}/subsets' for region in ('mean', 'WT', 'TC', 'ET')),
    *(f'Dice_mean/{"+".join(subset)}' for subset in sorted(subsets, key=len, reverse=True)),
]
checkpoint = 'last'
search = None

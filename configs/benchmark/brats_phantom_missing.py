"""Dropout and balancing on the BraTS phantom, tested with all 15 subsets of its sequences.

Joint training, multi-loss and CGGM as it is recommended, each with and without modality dropout, with the
network and the settings of ``brats_phantom.py``. ``Dice_mean/subsets`` is the mean over all subsets. Nothing
is searched, and the end of the training is tested on four whole volumes.
"""

_base_ = ['./brats_phantom.py']

dropout = dict(type='ModalityDropout', p=0.3)
balancers = {
    'joint': [],
    'multi-loss': [dict(type='MultiLoss')],
    'CGGM': [dict(type='CGGM', rho='neutral', lam=0.0, progress=dict(type='SmoothedProgress'))],
}
methods = dict(
    _delete_=True,
    **{'joint': dict(config='configs/_base_/guided/brats_unet.py', overrides=_base_.guided)},
    **{
        ' + '.join([name, *(['dropout'] if drops else [])]): dict(
            config='configs/modality_dropout/brats_unet.py',
            overrides={**_base_.guided, 'optim_wrapper.balancer': [*balancer, *([dropout] if drops else [])]},
        )
        for drops in (False, True)
        for name, balancer in balancers.items()
        if drops or balancer
    },
)
settings = dict(phantom={'test_cfg.type': 'SubsetTestLoop'})
seeds = [0, 1, 2]
references = ['joint + dropout']
metrics = [
    'Dice_mean',
    *(f'Dice_{region}' for region in ('WT', 'TC', 'ET')),
    *(f'HD95_{region}' for region in ('WT', 'TC', 'ET')),
    *(f'Dice_{region}/subsets' for region in ('mean', 'WT', 'TC', 'ET')),
]

"""CGGM and joint training on the BraTS phantom, whose lesions are synthetic: half of the demo's training.

Its data is that of ``make demo``. Nothing is searched, and the last epoch is tested on whole volumes.
"""

guided = 'configs/_base_/guided/brats_unet_demo.py'
demo = 'configs/cggm/brats_unet_demo.py'
balancer = 'optim_wrapper.balancer'
methods = {
    'joint': dict(config=guided),
    'CGGM': dict(config=demo, overrides={f'{balancer}.progress.type': 'StepProgress'}),
    'CGGM of the demo': dict(config=demo),  # smoothed progress, but ρ = 1.0 and λ = 0.1
    'CGGM teaching': dict(
        config=guided,
        overrides={f'{balancer}.type': 'TeachingCGGM', 'custom_hooks': [dict(type='BalancingHook')]},
    ),
}
epochs = 3
settings = {
    'phantom': {
        'train_cfg.max_epochs': epochs,
        'train_cfg.val_interval': epochs,
        'param_scheduler.1.end': epochs,
        'param_scheduler.1.T_max': epochs,
    }
}
seeds = [0, 1]
baseline = 'joint'
metrics = ['Dice_mean', 'Dice_WT', 'Dice_TC', 'Dice_ET', 'HD95_mean']
checkpoint = 'last'

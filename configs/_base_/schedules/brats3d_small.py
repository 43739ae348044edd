"""``brats3d_300e.py`` for a CPU: 20 epochs, with a momentum that a short training can use."""

_base_ = ['./brats3d_300e.py']

max_epochs = 20

optim_wrapper = dict(optimizer=dict(lr=0.1, momentum=0.9))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=20, by_epoch=False),
    dict(type='PolyLR', eta_min=0.0, power=0.9, begin=0, end=max_epochs, convert_to_iter_based=True),
]
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)

"""``brats_unet.py`` on the phantom, small enough for two CPU cores, with the loss of the 3D networks.

That loss has the Dice of each label, with which few steps tell the labels of small tumours apart.
"""

_base_ = ['./brats_unet.py', '../losses/brats_labels.py']

data_root = 'data/brats_phantom'
channels = (16, 32, 64, 128)
# No layer works on all pixels, in a third of the time. The guides begin at an eighth of the resolution.
stem_stride = 2
coarse = (2, 3)

model = dict(
    model=dict(
        backbone=dict(
            encoder=dict(channels=channels, stem_stride=stem_stride),
            fusion=dict(in_channels=channels, out_channels=channels),
        ),
        decode_head=dict(in_channels=channels, loss_decode=[_base_.label_loss]),
    ),
    guide=dict(
        head=dict(in_channels=[channels[level] for level in coarse], in_index=coarse, channels=channels[0])
    ),
)

# Every tumour slice and some others instead of one a case, in few small steps, so a larger learning rate.
max_epochs = 4
train_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    dataset=dict(data_root=data_root, sample='tumour_slices', background=0.2),
)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(data_root=data_root))
test_dataloader = dict(num_workers=0, dataset=dict(data_root=data_root))
optim_wrapper = dict(optimizer=dict(lr=0.1), guide_optimizer=dict(lr=0.06))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.04, begin=0, end=20, by_epoch=False),
    dict(
        type='CosineAnnealingLR',
        eta_min=1e-4,
        begin=0,
        end=max_epochs,
        T_max=max_epochs,
        convert_to_iter_based=True,
    ),
]
train_cfg = dict(max_epochs=max_epochs, val_interval=max_epochs)
auto_scale_lr = dict(base_batch_size=4)

"""The published schedule of Food-101: AdamW, 60 epochs, a tenth of the rate when validation stalls."""

max_epochs = 60

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=6e-3),
    clip_grad=dict(max_norm=0.8),
)
param_scheduler = dict(
    type='ReduceOnPlateauLR', monitor='cross_entropy', rule='less', factor=0.1, patience=10
)
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(enable=False, base_batch_size=128)

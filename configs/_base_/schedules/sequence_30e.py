"""The published schedule of sequences: Adam, 30 epochs, a tenth of the rate when validation stalls.

A data set with another metric than MAE overrides ``monitor`` and ``rule`` of ``param_scheduler``.
"""

max_epochs = 30

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='Adam', lr=1e-3),
    clip_grad=dict(max_norm=0.8),
)
param_scheduler = dict(
    type='ReduceOnPlateauLR',
    monitor='MAE',
    rule='less',
    factor=0.1,
    patience=10,
    end=10**9,  # not the first run's `max_epochs`, at which a resumed and prolonged run would stop watching
)
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(enable=False, base_batch_size=64)

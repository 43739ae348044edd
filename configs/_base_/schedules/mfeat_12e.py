"""SGD at a constant learning rate, chosen on the validation split for joint training, 12 epochs."""

optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.03, momentum=0.9),
    clip_grad=dict(max_norm=0.8),  # as published for the sequence models, see av_digits_12e.py
)
train_cfg = dict(by_epoch=True, max_epochs=12, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(enable=False, base_batch_size=25)

"""SGD at a constant learning rate, chosen on the validation split for joint training, 12 epochs."""

# The limit on the gradient is the published one of the sequence models. Without it the paper's B, which has
# no bounds, keeps CGGM near chance.
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.2, momentum=0.9),
    clip_grad=dict(max_norm=0.8),
)
train_cfg = dict(by_epoch=True, max_epochs=12, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(enable=False, base_batch_size=64)

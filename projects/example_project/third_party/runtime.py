"""What both models share: data loading, optimizer, schedule and log."""

custom_imports = dict(
    imports=[
        'projects.example_project.third_party.two_stream_backbone',
        'projects.example_project.third_party.synthetic_scenes',
    ]
)
train_dataloader = dict(batch_size=4, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=True))
test_dataloader = dict(batch_size=8, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False))
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.02, momentum=0.9))
train_cfg = dict(by_epoch=True, max_epochs=2)
test_cfg = dict()
default_hooks = dict(logger=dict(type='LoggerHook', interval=4))
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
randomness = dict(seed=0)

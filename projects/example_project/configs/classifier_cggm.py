"""The classifier, balanced."""

_base_ = ['../third_party/classifier.py']

model = dict(
    _delete_=True,
    type='mmcggm.GuidedModel',
    model=_base_.model,
    encoders=dict(colour='backbone.streams.0', depth='backbone.streams.1'),
    head='head.fc',
    task=dict(type='mmcggm.ClassificationTask', target='data_samples.gt_label', loss='head.loss_module'),
)
optim_wrapper = dict(balancer=dict(type='CGGM', rho='neutral', lam=0.1))
runner_type = 'mmcggm.BalancedRunner'

"""The project's own registries under another library's default scope."""

import logging

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope

from mmcggm.balancers import CGGM, OGM, Balancer
from mmcggm.engine import CGGMOptimWrapper
from mmcggm.guided import SegmentationTask
from mmcggm.registry import BALANCERS, TASKS


@pytest.mark.parametrize('scope', ['mmcggm', 'mmseg', 'mmpretrain'])
def test_own_kinds_are_found_without_a_warning(scope):
    logger = MMLogger.get_instance(f'registry_{scope}')
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    logger.addHandler(handler)
    with DefaultScope.overwrite_default_scope(scope):
        assert isinstance(BALANCERS.build(dict(type='CGGM', progress='SmoothedProgress')), CGGM)
        assert isinstance(TASKS.build(dict(type='SegmentationTask')), SegmentationTask)
        assert isinstance(TASKS.build(dict(type='mmcggm.SegmentationTask')), SegmentationTask)
    assert not [record for record in records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ('balancer', 'message'),
    [
        (
            dict(type='CGMM'),
            r"`optim_wrapper\.balancer\.type`.*no balancer 'CGMM'\. Did you mean 'CGGM'.*OGM",
        ),
        (dict(type='mmcggm.ogm'), r"no balancer 'mmcggm\.ogm'\..*Known are .*OGM.*`custom_imports`"),
        (dict(type='StepProgress'), "no balancer 'StepProgress'"),
        (dict(rho=1.0), r'`optim_wrapper\.balancer` must be a dict with a `type`'),
        (3, r'`optim_wrapper\.balancer` must be a dict with a `type`, got 3'),
        (
            dict(type='CGGM', progres='StepProgress'),
            r"`optim_wrapper\.balancer`: CGGM has no argument 'progres'\. Did.* 'progress'.*takes rho, lam",
        ),
        (dict(type='OGM', rho=1.0), r"OGM has no argument 'rho'.*takes alpha, .*`_delete_=True`"),
        (
            dict(type='CGGM', progress=dict(type='SmoothedProgress', fats=0.9)),
            r"`optim_wrapper\.balancer\.progress`: Smoothed.* no argument 'fats'\. Did you mean 'fast'",
        ),
        (
            dict(type='CGGM', progress='OGM'),
            r'`optim_wrapper\.balancer\.progress\.type`: .*Known are Level',
        ),
    ],
)
@pytest.mark.parametrize('scope', ['mmcggm', 'mmseg'])
def test_a_misspelt_balancer_is_named(scope, balancer, message):
    with DefaultScope.overwrite_default_scope(scope), pytest.raises(ValueError, match=message):
        CGGMOptimWrapper(torch.optim.SGD([torch.zeros(1)], lr=0.1), balancer=balancer)


def test_every_balancer_names_its_arguments():
    kinds = [kind for kind in BALANCERS.module_dict.values() if issubclass(kind, Balancer)]
    assert len(kinds) > 10
    for kind in kinds:
        with pytest.raises(ValueError, match=f"{kind.__name__} has no argument 'moon'.*It takes"):
            BALANCERS.build(dict(type=kind.__name__, moon=1), kind=Balancer)


def test_a_misspelt_task_is_named():
    with pytest.raises(ValueError, match=r"`task`: ClassificationTask has no argument 'tagret'.*'target'"):
        TASKS.build(dict(type='ClassificationTask', tagret='label'))
    with pytest.raises(ValueError, match=r"`task\.score\.type`: .*'SliceDise'\. Did you mean 'SliceDice'"):
        TASKS.build(dict(type='SegmentationTask', score='SliceDise'))


def test_a_type_alone_is_a_balancer():
    assert isinstance(
        CGGMOptimWrapper(torch.optim.SGD([torch.zeros(1)], lr=0.1), balancer='OGM').balancer, OGM
    )


def test_what_a_type_lacks_is_named():
    with pytest.raises(ValueError, match=r"`task`: ClassificationTask needs 'target'"):
        TASKS.build(dict(type='ClassificationTask'))

"""The project's own registries under another library's default scope."""

import logging

import pytest
from mmengine.logging import MMLogger
from mmengine.registry import DefaultScope

from mmcggm.balancers import CGGM
from mmcggm.models import SegmentationTask
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

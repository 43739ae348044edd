"""What is logged reaches the backends of MMEngine's visualizer."""

import pytest

from mmcggm.engine import BalancingHook, GradientStatsHook
from tests.tiny import classifier_guided, tiny_runner


def test_tensorboard_gets_every_modality(tmp_path):
    pytest.importorskip('tensorboard')
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    backends = [dict(type='LocalVisBackend'), dict(type='TensorboardVisBackend')]
    tiny_runner(
        tmp_path,
        model=classifier_guided(),
        hooks=[BalancingHook(), GradientStatsHook()],
        visualizer=dict(type='Visualizer', vis_backends=backends, name=f'live_{tmp_path.name}'),
    ).train()
    (events,) = tmp_path.glob('*/vis_data/events*')
    curves = EventAccumulator(str(events))
    curves.Reload()
    expected = {
        f'{name}/{m}' for name in ('balance/B', 'balance/score', 'gradient/norm') for m in ('left', 'right')
    }
    assert expected | {'gradient/norm/fused', 'loss'} <= set(curves.Tags()['scalars'])
    assert [event.step for event in curves.Scalars('balance/B/left')] == [2, 4, 6, 8]

"""What is logged reaches the backends of MMEngine's visualizer."""

import json
import struct
from collections.abc import Iterator

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


def test_weights_and_biases_gets_every_modality(tmp_path, monkeypatch):
    """Offline, without an account: what it wrote is read back from its file."""
    wandb = pytest.importorskip('wandb')
    from wandb.proto.wandb_internal_pb2 import Record

    monkeypatch.setenv('WANDB_SILENT', 'true')
    backends = [
        dict(type='LocalVisBackend'),
        dict(type='WandbVisBackend', init_kwargs=dict(mode='offline', project='mmcggm')),
    ]
    runner = tiny_runner(
        tmp_path,
        model=classifier_guided(),
        hooks=[BalancingHook(), GradientStatsHook()],
        visualizer=dict(type='Visualizer', vis_backends=backends, name=f'live_{tmp_path.name}'),
    )
    runner.train()
    wandb.finish()  # as at the end of the process
    (path,) = tmp_path.glob('*/vis_data/wandb/offline-run-*/run-*.wandb')
    seen = {}
    for data in records(path.read_bytes()):
        for item in Record.FromString(data).history.item:
            name = item.key or '/'.join(item.nested_key)
            seen.setdefault(name, []).append(float(item.value_json))
    (scalars,) = tmp_path.glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in scalars.read_text().splitlines()]
    for name in ('balance/B/left', 'balance/score/right', 'gradient/norm/left', 'loss'):
        assert seen[name] == pytest.approx([line[name] for line in lines])


def records(content: bytes, head: int = 7, block: int = 32768) -> Iterator[bytes]:
    """Yield the records of W&B's file: LevelDB's log format after a head that names the version."""
    place, parts = head, []
    while place < len(content):
        if (left := block - place % block) < 7:  # no room for another record's head: zeros
            place += left
            continue
        _, length, kind = struct.unpack_from('<IHB', content, place)
        parts.append(content[place + 7 : place + 7 + length])
        place += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield b''.join(parts)
            parts = []

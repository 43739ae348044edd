"""Batches that taught nothing are named, whatever the method."""

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.structures import BaseDataElement

from mmcggm.engine import BalancingHook
from mmcggm.engine.hooks import NonFiniteGradientHook
from mmcggm.engine.hooks.nonfinite_gradient_hook import sample_names
from tests.tiny import TinyData, tiny_runner, weights, wrapper_config

BAD = 37


class Named(TinyData):
    """Samples with names, of which one is NaN."""

    def __init__(self) -> None:
        super().__init__(64)
        self.right[BAD] = float('nan')

    def __getitem__(self, index: int) -> dict:
        return {**super().__getitem__(index), 'id': f'case {index}'}


def collate(items: list[dict]) -> dict:
    """As default_collate, which would refuse nothing here, but leave the names to the hook."""
    batch = {key: torch.stack([item[key] for item in items]) for key in ('left', 'right', 'label')}
    return {**batch, 'id': [item['id'] for item in items]}


def train(tmp_path, interval: int, **wrapper) -> tuple[str, object]:
    balanced = wrapper.get('balancer', True) is not None
    runner = tiny_runner(
        tmp_path,
        max_epochs=2,
        hooks=[NonFiniteGradientHook(interval), *([BalancingHook()] if balanced else [])],
        train_dataloader=dict(
            dataset=Named(),
            batch_size=16,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=collate,
        ),
        optim_wrapper=wrapper_config(**wrapper),
        log_level='WARNING',
    )
    forward = runner.model.model.forward
    runner.model.model.forward = lambda *args, id=None, **kwargs: forward(*args, **kwargs)
    runner.train()
    return next(tmp_path.glob('*/*.log')).read_text(), runner.model


@pytest.mark.parametrize('interval', [1, 3, 100])
@pytest.mark.parametrize('balancer', [None, dict(type='CGGM', lam=0.0)], ids=['joint', 'CGGM'])
def test_iterations_and_samples_are_named(balancer, interval, tmp_path):
    log, model = train(tmp_path, interval, balancer=balancer)
    lines = [line for line in log.splitlines() if 'these batches taught nothing' in line]
    assert weights(model).isfinite().all()
    assert [int(line.split('in iterations ')[1].split(';')[0]) for line in lines] == [3, 7]
    assert all('case 32, case 33' in line and 'case 47' in line and 'case 48' not in line for line in lines)


def test_an_accumulated_update_names_all_of_its_batches(tmp_path):
    log, _ = train(tmp_path, 1, balancer=None, accumulative_counts=2)
    assert 'in iterations 4; their samples are case 32' in log and 'and 16 more' in log


def test_one_optimizer_for_model_and_guides(tmp_path):
    log, model = train(tmp_path, 1, balancer=None, guide_optimizer=None)
    assert 'in iterations 3;' in log and weights(model).isfinite().all()


def test_zero_nonfinite_can_be_left_out(tmp_path):
    log, model = train(tmp_path, 1, balancer=None, zero_nonfinite=False)
    assert 'taught nothing' not in log and weights(model).isnan().any()


def test_names_in_metainfo():
    samples = [BaseDataElement(metainfo=dict(case=f'c{n}', img_path='p')) for n in range(2)]
    batch = pseudo_collate([dict(inputs=torch.zeros(1), data_samples=sample) for sample in samples])
    assert sample_names(batch) == ['c0', 'c1']
    assert sample_names(dict(data_samples=[BaseDataElement()])) == sample_names([1]) == []

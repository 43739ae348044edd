"""GuideScoreHook: the guides' scores over a whole data set, beside the model's own metrics."""

import json
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from mmengine.dataset import default_collate
from mmengine.hooks import Hook

from mmcggm.engine import BalancingHook, GuideScoreHook
from mmcggm.registry import MODELS
from tests.processes import run_processes
from tests.tiny import TinyClassifier, TinyData, evaluating_runner, tiny_guided, wrapper_config

NAMES = ('left', 'right')


@torch.no_grad()
def guide_accuracy(model, data: TinyData) -> dict[str, float]:
    """Return each guide's accuracy, computed from the parts of the model."""
    model.eval()
    return {
        f'guide/{name}': (
            model.guides[name](getattr(model.model, f'{name}_encoder')(getattr(data, name))).argmax(1)
            == data.label
        )
        .double()
        .mean()
        .item()
        for name in NAMES
    }


def test_scores_are_those_of_the_whole_data_set(tmp_path):
    runner = evaluating_runner(tmp_path)
    runner.train()
    metrics = runner.test()
    assert {k: metrics[k] for k in metrics if 'guide' in k} == pytest.approx(
        guide_accuracy(runner.model, TinyData(37))
    )
    with torch.no_grad():
        data = TinyData(37)
        hits = runner.model(data.left, data.right, data.label, mode='predict')
    assert metrics['accuracy'] == pytest.approx(sum(map(float, hits)) / 37)


def test_losses_are_measured_where_the_balancer_needs_them(tmp_path):
    seen = []
    wrapper = wrapper_config(balancer=dict(type='GradientBlending'))
    runner = evaluating_runner(tmp_path, hooks=[BalancingHook(), GuideScoreHook()], optim_wrapper=wrapper)
    runner.optim_wrapper = runner.build_optim_wrapper(wrapper)
    runner.optim_wrapper.balancer.see_validation = lambda scores, losses: seen.append((scores, losses))
    runner.train()
    data, model = TinyData(37), runner.model.eval()
    with torch.no_grad():
        predictions = [model.guides[m](getattr(model.model, f'{m}_encoder')(getattr(data, m))) for m in NAMES]
        predictions.append(model(data.left, data.right, data.label))
    expected = [torch.nn.functional.cross_entropy(p, data.label).item() for p in predictions]
    assert len(seen) == 2 and seen[-1][1] == pytest.approx(expected)
    assert seen[-1][0] == pytest.approx(list(guide_accuracy(model, data).values()))
    assert not any('loss' in name for name in runner.test())


def test_scores_are_logged(tmp_path):
    evaluating_runner(tmp_path).train()
    (scalars,) = tmp_path.glob('*/vis_data/scalars.json')
    records = [json.loads(line) for line in scalars.read_text().splitlines()]
    validated = [record for record in records if 'accuracy' in record]
    assert len(validated) == 2 and all({'guide/left', 'guide/right'} <= set(r) for r in validated)


def test_best_checkpoint_can_be_a_guides(tmp_path):
    checkpoint = dict(type='CheckpointHook', interval=1, save_best='guide/left', rule='greater')
    evaluating_runner(tmp_path, default_hooks=dict(checkpoint=checkpoint)).train()
    assert list(tmp_path.glob('best_guide_left_epoch_*.pth'))


def test_model_stays_as_it_is(tmp_path):
    """Predictions, training and hooks are those of a run without it."""
    outputs = {False: [], True: []}
    weights = {}
    for judged in outputs:

        class Keep(Hook):
            def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None, to=outputs[judged]):
                to.extend(outputs)

        hooks = [Keep(), *([GuideScoreHook()] if judged else [])]
        runner = evaluating_runner(tmp_path / str(judged), hooks=hooks)
        runner.train()
        weights[judged] = runner.model.state_dict()
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in runner.model.modules())
    assert len(outputs[True]) == 74 and outputs[True] == outputs[False]
    assert all(torch.equal(value, weights[False][name]) for name, value in weights[True].items())


@MODELS.register_module()
class Halving(TinyClassifier):
    """Predicts in two passes, as segmentors do with volumes."""

    def forward(self, left, right, label, mode='tensor'):
        if mode != 'predict':
            return super().forward(left, right, label, mode=mode)
        parts = zip(left.chunk(2), right.chunk(2), label.chunk(2), strict=True)
        return [hit for part in parts for hit in super(Halving, self).forward(*part, mode=mode)]


def test_several_passes_are_refused(tmp_path):
    runner = evaluating_runner(tmp_path, model=tiny_guided(model=dict(type='Halving')))
    with pytest.raises(RuntimeError, match=r"'left_encoder' was called more than once"):
        runner.val()


@MODELS.register_module()
class Flaky(TinyClassifier):
    """Fails in its first prediction, after the encoders."""

    failed = False

    def forward(self, left, right, label, mode='tensor'):
        result = super().forward(left, right, label, mode=mode)
        if mode == 'predict' and not self.failed:
            self.failed = True
            raise OSError('the disk is full')
        return result


def test_validation_can_be_repeated_after_a_failure(tmp_path):
    runner = evaluating_runner(tmp_path, model=tiny_guided(model=dict(type='Flaky')))
    with pytest.raises(OSError, match='the disk is full'):
        runner.val()
    assert {'guide/left', 'guide/right'} <= set(runner.val())


def test_model_without_guides_is_refused_before_training(tmp_path):
    runner = evaluating_runner(
        tmp_path,
        model=TinyClassifier(),
        optim_wrapper=dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1)),
    )
    with pytest.raises(TypeError, match='GuidedModel'):
        runner.train()


def score_a_share(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
    wrapper = dict(type='MMDistributedDataParallel', device_ids=None)
    data = TinyData(64)
    runner = evaluating_runner(
        folder,
        experiment_name='two_processes',
        cfg=dict(model_wrapper_cfg=wrapper),
        val_dataloader=dict(
            dataset=data,
            batch_size=8,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=default_collate,
        ),
    )
    torch.save(runner.val(), folder / f'rank{rank}.pt')


def test_two_processes_score_the_whole_data_set(tmp_path):
    run_processes(score_a_share, tmp_path)
    expected = guide_accuracy(tiny_guided(), TinyData(64))
    for rank in range(2):
        found = torch.load(tmp_path / f'rank{rank}.pt')
        assert {k: v for k, v in found.items() if 'guide' in k} == pytest.approx(expected)

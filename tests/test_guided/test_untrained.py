"""UntrainedGuides, and GuideScoreHook(control=True): the control of what guides say."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from mmengine.dataset import default_collate
from mmengine.hooks import Hook
from torch import nn

from mmcggm.engine import BalancingHook, GuideScoreHook
from mmcggm.registry import MODELS
from tests.processes import run_processes
from tests.tiny import TinyClassifier, TinyData, TinyGuide, evaluating_runner, tiny_guided, wrapper_config

NAMES = ('left', 'right')
# Encoders that do not move, so that the guides themselves are what the control must be.
STANDING = dict(balancer=None, optimizer=dict(type='SGD', lr=0.0))


@MODELS.register_module()
class Rough(TinyClassifier):
    """With all that draws at random or keeps statistics in encoders, and a modality that may be absent."""

    def __init__(self) -> None:
        super().__init__()
        for name in NAMES:
            setattr(
                self, f'{name}_encoder', nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3))
            )

    def forward(self, left, right, label, mode='tensor'):
        h = self.left_encoder(left)
        if not (mode == 'loss' and label[0] == 0):  # in some batches
            h = h + self.right_encoder(right)
        logits = self.classifier(torch.tanh(h))
        if mode == 'loss':
            return dict(loss=nn.functional.cross_entropy(logits, label))
        left.zero_()  # as a careless model does with what it is given
        return logits if mode == 'tensor' else list(logits.argmax(1) == label)


@MODELS.register_module()
class RoughGuide(TinyGuide):
    def forward(self, representation):
        return super().forward(nn.functional.dropout(representation, 0.2, self.training))


def rough() -> nn.Module:
    return tiny_guided(model=dict(type='Rough'), guide=dict(type='RoughGuide'))


class Weights(Hook):
    """Keeps the weights and the generator after each iteration."""

    priority = 'LOWEST'

    def __init__(self) -> None:
        self.seen: list[torch.Tensor] = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        state = [value.flatten().double() for value in runner.model.state_dict().values()]
        self.seen.append(torch.cat([*state, torch.get_rng_state().double()]))


def scores(runner) -> dict[str, list[float]]:
    """Return what was validated, by metric."""
    history = runner.message_hub.log_scalars
    return {name: h.data[0].tolist() for name, h in history.items() if name.startswith('val/guide')}


def control_of(runner) -> dict:
    """Return the state of the control of a training."""
    return next(h for h in runner.hooks if isinstance(h, GuideScoreHook))._untrained.state_dict()


@pytest.mark.parametrize('wrapper', ['BalancedOptimWrapper', 'BalancedAmpOptimWrapper'])
def test_training_and_predictions_stay_the_same_to_the_last_bit(tmp_path, wrapper):
    weights, metrics = {}, {}
    for control in (False, True):
        weights[control] = Weights()
        runner = evaluating_runner(
            tmp_path / str(control),
            model=rough(),
            hooks=[BalancingHook(), GuideScoreHook(control=control), weights[control]],
            optim_wrapper=wrapper_config(type=wrapper, accumulative_counts=3),
        )
        runner.train()
        metrics[control] = runner.test()
        assert not any(m._forward_hooks or m._forward_pre_hooks for m in runner.model.modules())
    assert len(weights[True].seen) == 8
    assert all(map(torch.equal, weights[True].seen, weights[False].seen))
    added = {f'guide_untrained/{name}' for name in NAMES}
    assert {k: v for k, v in metrics[True].items() if k not in added} == metrics[False]
    assert added < metrics[True].keys()


@pytest.mark.parametrize(
    'settings',
    [
        dict(guide_optimizer=dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=0.01)),
        dict(guide_optimizer=dict(type='AdamW', lr=0.05), accumulative_counts=3),
        dict(  # one optimizer for all, in which the guides' rate is another and falls
            guide_optimizer=None,
            paramwise_cfg=dict(
                custom_keys={'guides.right': dict(lr_mult=0.5), 'left_encoder': dict(lr_mult=0)}
            ),
        ),
    ],
)
def test_control_is_the_guide_of_an_encoder_that_stands_still(tmp_path, settings):
    wrapper = wrapper_config(**{**STANDING, **settings})
    schedule = None
    if wrapper['guide_optimizer'] is None:
        del wrapper['guide_optimizer']
        wrapper['optimizer'] = dict(type='SGD', lr=0.05, momentum=0.9)
        keys = wrapper['paramwise_cfg']['custom_keys']
        keys |= {'right_encoder': dict(lr_mult=0), 'classifier': dict(lr_mult=0)}
        schedule = dict(type='ExponentialLR', gamma=0.7, by_epoch=False)
    runner = evaluating_runner(
        tmp_path,
        max_epochs=3,
        hooks=[GuideScoreHook(control=True)],
        optim_wrapper=wrapper,
        param_scheduler=schedule,
    )
    first = deepcopy(runner.model.state_dict())
    runner.train()
    control = control_of(runner)
    for name, value in runner.model.state_dict().items():
        assert name.startswith('guides.') or torch.equal(value, first[name])
        assert torch.equal(value, control['weights'][name])
        assert not name.startswith('guides.') or not torch.equal(value, first[name])
    found = scores(runner)
    assert all(found[f'val/guide_untrained/{name}'] == found[f'val/guide/{name}'] for name in NAMES)
    assert len(found['val/guide/left']) == 3


def test_control_keeps_the_encoders_from_before_training(tmp_path):
    runner = evaluating_runner(tmp_path, hooks=[BalancingHook(), GuideScoreHook(control=True)])
    first = deepcopy(runner.model.state_dict())
    runner.train()
    control = torch.load(tmp_path / 'epoch_2.pth')['untrained_guides']['weights']
    for name, value in runner.model.state_dict().items():
        assert name.startswith('guides.') or torch.equal(control[name], first[name])
        assert not torch.equal(control[name], value)  # either encoders have learnt, or guides otherwise


@pytest.mark.parametrize('epoch', [1, 2])
def test_a_resumed_training_has_the_same_control(tmp_path, epoch):
    def runner(folder, **overrides):
        return evaluating_runner(
            tmp_path / folder,
            model=rough(),
            max_epochs=3,
            hooks=[BalancingHook(), GuideScoreHook(control=True)],
            optim_wrapper=wrapper_config(
                accumulative_counts=3, guide_optimizer=dict(type='SGD', lr=0.05, momentum=0.9)
            ),
            **overrides,
        )

    whole = runner('whole')
    whole.train()
    resumed = runner('resumed', load_from=str(tmp_path / f'whole/epoch_{epoch}.pth'), resume=True)
    resumed.train()
    expected, found = (scores(r) for r in (whole, resumed))
    assert all(found[name][-1] == expected[name][-1] for name in expected)
    weights = [
        torch.load(tmp_path / f / 'epoch_3.pth')['untrained_guides']['weights'] for f in ('whole', 'resumed')
    ]
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def test_tests_take_the_control_of_the_checkpoint(tmp_path):
    hooks = [BalancingHook(), GuideScoreHook(control=True)]
    trained = evaluating_runner(tmp_path, hooks=hooks)
    trained.train()
    expected = scores(trained)
    trained.load_checkpoint(str(tmp_path / 'epoch_1.pth'))  # as a benchmark tests the best
    again = trained.test()
    tested = evaluating_runner(
        tmp_path / 'test', hooks=[GuideScoreHook(control=True)], load_from=str(tmp_path / 'epoch_1.pth')
    ).test()
    assert all(again[k] == tested[k] == expected[f'val/{k}'][0] for k in tested if 'guide' in k)


def test_a_new_training_from_weights_begins_a_new_control(tmp_path):
    evaluating_runner(tmp_path, hooks=[BalancingHook(), GuideScoreHook(control=True)]).train()
    before = torch.load(tmp_path / 'epoch_2.pth')['state_dict']
    hooks = [BalancingHook(), GuideScoreHook(control=True)]
    runner = evaluating_runner(tmp_path / 'new', hooks=hooks, load_from=str(tmp_path / 'epoch_2.pth'))
    runner.train()
    control = torch.load(tmp_path / 'new/epoch_2.pth')['untrained_guides']['weights']
    assert all(torch.equal(v, before[k]) for k, v in control.items() if not k.startswith('guides.'))


def test_a_checkpoint_without_a_control_is_refused(tmp_path):
    evaluating_runner(tmp_path).train()
    for resume in (True, False):
        runner = evaluating_runner(
            tmp_path / str(resume),
            max_epochs=3,
            hooks=[BalancingHook(), GuideScoreHook(control=True)],
            load_from=str(tmp_path / 'epoch_1.pth'),
            resume=resume,
        )
        with pytest.raises(ValueError, match=r'as they were before training.*`control=True` from the start'):
            runner.train() if resume else runner.test()


def test_compiled_models_are_refused(tmp_path):
    hooks = [GuideScoreHook(control=True)]
    runner = evaluating_runner(
        tmp_path, hooks=hooks, cfg=dict(compile=True), optim_wrapper=wrapper_config(balancer=None)
    )
    with pytest.raises(ValueError, match='`compile`'):
        runner.call_hook('before_train')


def train_a_share(rank: int, folder: Path, processes: int) -> tuple[dict, dict]:
    """Return what was scored, and the control's weights, after a training on ``processes``."""
    loader = dict(
        dataset=TinyData(64),
        batch_size=16 // processes,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=default_collate,
    )
    wrapper = dict(model_wrapper_cfg=dict(type='MMDistributedDataParallel', device_ids=None))
    runner = evaluating_runner(
        folder / f'{processes}_{rank}',
        experiment_name=f'{processes}_processes',
        cfg=wrapper if processes > 1 else {},
        hooks=[GuideScoreHook(control=True)],
        optim_wrapper=wrapper_config(accumulative_counts=2, balancer=None),
        train_dataloader=loader,
        val_dataloader=loader,
    )
    runner.train()
    return scores(runner), control_of(runner)['weights']


def be_a_process(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{folder}/store', rank=rank, world_size=2)
    torch.save(train_a_share(rank, folder, processes=2), folder / f'{rank}.pt')


def test_two_processes_train_the_control_of_one(tmp_path):
    run_processes(be_a_process, tmp_path)
    found, weights = train_a_share(0, tmp_path, processes=1)
    for rank in range(2):
        others, other_weights = torch.load(tmp_path / f'{rank}.pt')
        for name in NAMES:
            key = f'val/guide_untrained/{name}'
            assert others[key] == pytest.approx(found[key])
        torch.testing.assert_close(other_weights, weights, rtol=1e-5, atol=1e-6)

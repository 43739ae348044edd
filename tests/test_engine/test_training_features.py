"""CGGM together with what MMEngine's users train with."""

import copy
import random

import pytest
import torch
from mmengine.dataset import default_collate
from mmengine.optim import OptimWrapperDict
from torch import nn
from torch.utils.checkpoint import checkpoint

from mmcggm.balancers import CGGM, Clock
from tests.tiny import (
    Accuracy,
    TinyData,
    build_wrapper,
    evaluating_runner,
    tiny_guided,
    tiny_runner,
    wrapper_config,
)


def batches(count: int, size: int = 16) -> list[dict]:
    data = TinyData(count * size)
    return [default_collate([data[i * size + j] for j in range(size)]) for i in range(count)]


def weights(module: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in module.parameters()])


def state(balancer) -> dict:
    return {
        k: v.clone() if torch.is_tensor(v) else v for k, v in balancer.state_dict().items() if k != 'updates'
    }


@pytest.mark.parametrize('place', ['model', 'guides'])
def test_overflow_changes_neither_weights_nor_state(place):
    guided, data = tiny_guided(), batches(3)
    wrapper = build_wrapper(guided, type='BalancedAmpOptimWrapper')
    wrapper.loss_scaler = torch.amp.GradScaler('cpu', init_scale=1024.0)
    guided.train_step(data[0], wrapper)
    before, committed = weights(guided), state(wrapper.balancer)
    assert before.isfinite().all()
    parameter = next((guided.model if place == 'model' else guided.guides).parameters())
    hook = parameter.register_hook(lambda grad: torch.full_like(grad, float('inf')))
    guided.train_step(data[1], wrapper)
    hook.remove()
    assert torch.equal(weights(guided), before) and wrapper.loss_scaler.get_scale() == 512
    assert all(torch.equal(value, committed[name]) for name, value in state(wrapper.balancer).items())
    guided.train_step(data[2], wrapper)
    assert not torch.equal(weights(guided.model), before[: len(weights(guided.model))])


def test_loss_scaling_changes_nothing_else():
    guided, data = tiny_guided(), batches(5)
    plain = copy.deepcopy(guided)
    scaled, unscaled = build_wrapper(guided, type='BalancedAmpOptimWrapper'), build_wrapper(plain)
    scaled.loss_scaler, scaled.cast_dtype = torch.amp.GradScaler('cpu', init_scale=1024.0), torch.bfloat16
    for model, wrapper in ((guided, scaled), (plain, unscaled)):
        wrapper.attach(model, Clock())
    for batch in data:
        for model, wrapper in ((guided, scaled), (plain, unscaled)):
            # Both without autocast, so that the scale alone differs.
            wrapper.update_params(model.parse_losses(model(**batch, mode='loss'))[0])
    torch.testing.assert_close(weights(guided), weights(plain))


def test_a_remainder_of_accumulation_is_an_update(tmp_path):
    runner = tiny_runner(tmp_path, max_epochs=1, optim_wrapper=wrapper_config(accumulative_counts=3))
    runner.train()  # four batches
    assert runner.optim_wrapper.balancer.state_dict()['updates'] == 2


def test_moving_average_of_the_weights(tmp_path):
    evaluation = dict(
        dataset=TinyData(), batch_size=16, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=default_collate,
    )  # fmt: skip
    runner = tiny_runner(
        tmp_path,
        max_epochs=6,
        custom_hooks=[dict(type='EMAHook', momentum=0.1), dict(type='BalancingHook')],
        val_dataloader=evaluation,
        val_evaluator=[Accuracy()],
        val_cfg=dict(),
    )
    runner.train()
    saved = torch.load(tmp_path / 'epoch_6.pth', weights_only=False)
    name = 'model.classifier.weight'
    assert not torch.equal(saved['state_dict'][name], saved['ema_state_dict'][f'module.{name}'])
    assert runner.message_hub.get_scalar('val/accuracy').current() > 0.6


def test_settings_by_parameter_meet_the_scale_on_the_update():
    guided = tiny_guided()
    paramwise = dict(custom_keys=dict(left_encoder=dict(lr_mult=0.1)), bias_decay_mult=0.0)
    wrapper = build_wrapper(
        guided,
        optimizer=dict(type='AdamW', lr=1e-2, weight_decay=0.01),
        paramwise_cfg=paramwise,
        balancer=dict(type='CGGM', magnitude='update'),
    )
    rates = {
        id(p): (group['lr'], group['modality'])
        for group in wrapper.optimizer.param_groups
        for p in group['params']
    }
    model = guided.model
    assert rates[id(model.left_encoder.weight)] == (pytest.approx(1e-3), 0)
    assert rates[id(model.right_encoder.bias)] == (1e-2, 1)
    assert rates[id(model.classifier.weight)] == (1e-2, None)
    before = weights(guided)
    guided.train_step(batches(1)[0], wrapper)
    assert not torch.equal(weights(guided), before)


def test_scaled_learning_rate(tmp_path):
    runner = tiny_runner(tmp_path, max_epochs=1, auto_scale_lr=dict(enable=True, base_batch_size=8))
    runner.train()
    assert runner.optim_wrapper.optimizer.param_groups[0]['lr'] == pytest.approx(0.2)


def test_several_optimizers_are_refused():
    guided, (batch,) = tiny_guided(), batches(1)
    wrapper = build_wrapper(guided)
    both = OptimWrapperDict(model=wrapper)
    loss, _ = guided.parse_losses(guided(**batch, mode='loss'))
    with pytest.raises(RuntimeError, match='OptimWrapperDict does not pass it on'):
        both['model'].update_params(loss)


@pytest.mark.parametrize('reentrant', [True, False])
def test_activation_checkpointing_changes_nothing(reentrant):
    guided, data = tiny_guided(), batches(4)
    recomputing = copy.deepcopy(guided)
    encoder = recomputing.model.left_encoder
    forward = encoder.forward
    encoder.forward = lambda x: checkpoint(forward, x.requires_grad_(), use_reentrant=reentrant)
    for model in (guided, recomputing):
        wrapper = build_wrapper(model)
        for batch in data:
            model.train_step({k: v.clone() for k, v in batch.items()}, wrapper)
    torch.testing.assert_close(weights(recomputing), weights(guided))


def test_compiled_encoders_change_nothing():
    guided, data = tiny_guided(), batches(3)
    compiled = copy.deepcopy(guided)
    for encoder in (compiled.model.left_encoder, compiled.model.right_encoder):
        encoder.compile(backend='aot_eager')
    for model in (guided, compiled):
        wrapper = build_wrapper(model)
        for batch in data:
            model.train_step(batch, wrapper)
    torch.testing.assert_close(weights(compiled), weights(guided))


def test_compiling_the_whole_model_is_refused_before_training(tmp_path):
    runner = tiny_runner(tmp_path, cfg=dict(compile=True))
    with pytest.raises(ValueError, match=r'cannot differentiate twice.*encoder.compile\(\)'):
        runner.train()


def test_only_a_direction_term_differentiates_twice():
    assert CGGM(lam=0.1).needs.second_derivatives and CGGM(lam=[(0, 0.0), (1, 0.1)]).needs.second_derivatives
    assert (
        not CGGM(lam=0.0).needs.second_derivatives
        and not CGGM(lam=0.1, direction='weight').needs.second_derivatives
    )


LOADER = dict(batch_size=16, num_workers=0, collate_fn=default_collate)
ORDERED = dict(type='DefaultSampler', shuffle=False)
WITHOUT_BATCHES = {
    'too few': (dict(sampler=ORDERED, dataset=TinyData(15), drop_last=True), 'of its 15 samples.*`drop_'),
    'empty': (dict(sampler=ORDERED, dataset=TinyData(0)), 'its data set is empty'),
    'endless': (dict(sampler=dict(type='InfiniteSampler'), dataset=TinyData()), 'is an InfiniteSampler'),
}  # fmt: skip


@pytest.mark.parametrize('kind', WITHOUT_BATCHES)
@pytest.mark.parametrize('phase', ['train', 'val', 'test'])
def test_a_loader_without_batches_is_refused(tmp_path, kind, phase):
    settings, message = WITHOUT_BATCHES[kind]
    runner = evaluating_runner(tmp_path, **{f'{phase}_dataloader': LOADER | settings})
    with pytest.raises(ValueError, match=f'`{phase}_dataloader.*{message}'):
        runner.test() if phase == 'test' else runner.train()


def test_iterations_may_have_an_endless_sampler_and_must_have_batches(tmp_path):
    loop = dict(by_epoch=False, max_iters=3)
    endless, few = WITHOUT_BATCHES['endless'][0], WITHOUT_BATCHES['too few'][0]
    runner = tiny_runner(tmp_path, train_cfg=loop, train_dataloader=LOADER | endless)
    runner.train()
    assert runner.iter == 3
    with pytest.raises(ValueError, match='yields no batch'):
        tiny_runner(tmp_path, train_cfg=loop, train_dataloader=LOADER | few).train()


@pytest.mark.parametrize('accumulative_counts', [1, 2])
def test_killed_anywhere_and_resumed_equals_uninterrupted(tmp_path, accumulative_counts):
    """Checkpoints come at updates; a training of 16 steps stops after a random one."""
    stop = accumulative_counts * random.Random(accumulative_counts).randint(1, 16 // accumulative_counts - 1)

    def train(work_dir, max_iters, **overrides):
        runner = tiny_runner(
            work_dir,
            train_cfg=dict(by_epoch=False, max_iters=max_iters),
            optim_wrapper=wrapper_config(accumulative_counts=accumulative_counts),
            default_hooks=dict(
                checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=accumulative_counts)
            ),
            **overrides,
        )
        runner.train()
        return runner

    whole = train(tmp_path / 'whole', 16)
    train(tmp_path / 'parts', stop)
    resumed = train(tmp_path / 'parts', 16, resume=True)
    assert resumed.iter == 16 and torch.equal(weights(resumed.model), weights(whole.model))
    expected = state(whole.optim_wrapper.balancer)
    assert all(torch.equal(v, expected[k]) for k, v in state(resumed.optim_wrapper.balancer).items())


@pytest.mark.parametrize('trouble', ['pole', 'jumps', 'nan'])
def test_two_hundred_troubled_steps_leave_finite_weights(trouble, tmp_path, caplog):
    """Scores that all repeat, scores that jump between 0 and 1, and a modality whose input is NaN."""
    guided = tiny_guided()
    counts = guided.task.counts

    def troubled(model, prediction, batch):
        if trouble == 'nan':
            return counts(model, prediction, batch)
        value = 0.5 if trouble == 'pole' else random.random() < 0.5
        return torch.tensor([[float(value), 1.0]])

    guided.task.counts = troubled
    data = TinyData(64)
    if trouble == 'nan':
        data.right[::17] = float('nan')  # a sample or two in each batch
    runner = tiny_runner(
        tmp_path,
        max_epochs=50,
        model=guided,
        train_dataloader=dict(
            dataset=data, batch_size=16, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=default_collate,
        ),
        optim_wrapper=wrapper_config(clip_grad=dict(max_norm=1.0)),
        log_level='WARNING',
    )  # fmt: skip
    runner.train()
    assert weights(guided).isfinite().all() and runner.iter == 200
    log = next(tmp_path.glob('*/*.log')).read_text()
    if trouble == 'pole':
        assert 'Balancing, since the last log: B at a pole, taken as neutral' in log


@pytest.mark.parametrize(('max_epochs', 'expected'), [(3, []), (2, ['has all 2 epochs behind it'])])
def test_what_is_left_to_train_is_counted_in_epochs_of_any_length(tmp_path, max_epochs, expected):
    """Four batches an epoch, then two: six in three epochs, of which eight are done already."""
    tiny_runner(tmp_path, max_epochs=2).train()
    loader = LOADER | dict(sampler=ORDERED, dataset=TinyData(32))
    runner = tiny_runner(tmp_path, max_epochs=max_epochs, train_dataloader=loader, resume=True)
    messages = []
    runner.logger.warning = messages.append
    runner.train()
    assert runner.epoch == max_epochs
    found = [message for message in messages if 'behind it' in message]
    assert len(found) == len(expected) and all(part in found[0] for part in expected)

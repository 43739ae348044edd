"""In the Trainer of Hugging Face a model moves as in the plain loop."""

import functools
import inspect
from unittest import mock

import pytest
import torch
from torch import nn
from torch.utils.data import IterableDataset
from transformers import PretrainedConfig, Trainer, TrainerCallback, TrainingArguments
from transformers import trainer as transformers_trainer

from mmcggm.apis.transformers import STATE, BalanceCallback
from tests.test_apis.loops import (
    Fusion,
    assert_same,
    balanced_fusion,
    double_batches,
    fusion,
    parameters_of,
    train_plainly,
)

RESUMES = pytest.mark.skipif(
    not hasattr(transformers_trainer, 'safe_globals'),
    reason='PyTorch from 2.6 on refuses the random state that this version of transformers saves',
)
TAKES_LOSS = pytest.mark.skipif(
    'compute_loss_func' not in inspect.signature(Trainer).parameters,
    reason='this version of transformers takes no function of the loss',
)
METHOD = dict(type='CGGM', lam=0.2, rho='neutral')


class WithLoss(nn.Module):
    """A :class:`Fusion` that returns its loss, in one of the ways of transformers."""

    net: Fusion

    def __init__(self):
        super().__init__()
        self.net = fusion()

    def forward(self, x, labels=None):
        logits = self.net(x)
        return dict(loss=nn.functional.cross_entropy(logits, labels), logits=logits)


class OfItems(WithLoss):
    """One whose loss the Trainer wants divided by the samples of the update."""

    def forward(self, x, labels=None, num_items_in_batch=None, **kwargs):
        logits = self.net(x)
        reduction = 'mean' if num_items_in_batch is None else 'sum'
        loss = nn.functional.cross_entropy(logits, labels, reduction=reduction)
        return dict(loss=loss if num_items_in_batch is None else loss / num_items_in_batch, logits=logits)


class InTuple(WithLoss):
    """One that returns a tuple, as with ``return_dict=False``."""

    def forward(self, x, labels=None):
        return tuple(super().forward(x, labels).values())


class OfLogits(WithLoss):
    """One that returns some loss without labels."""

    def forward(self, x):
        logits = self.net(x)
        return dict(loss=logits.square().mean(), logits=logits)


class Samples(IterableDataset):
    """Samples one by one, in order."""

    def __init__(self, batches):
        self.batches = batches

    def __iter__(self):
        for x, labels in self.batches:
            yield from (dict(x=a, labels=b) for a, b in zip(x, labels, strict=True))


def trainer(folder, model, balanced, batches, optimizer='adamw_torch', **settings):
    arguments = dict(
        per_device_train_batch_size=16, max_steps=20, learning_rate=0.01, lr_scheduler_type='constant',
        use_cpu=True, optim=optimizer, report_to='none', save_strategy='no', logging_strategy='no',
        disable_tqdm=True, max_grad_norm=0.0, dataloader_num_workers=0,
    )  # fmt: skip
    return Trainer(
        model,
        TrainingArguments(str(folder), **{**arguments, **settings}),
        train_dataset=Samples(batches),
        callbacks=[BalanceCallback(balanced)],
    )


def of_trainer(kind=WithLoss, **changes):
    model = kind()
    settings = dict(method=METHOD, target='labels')
    return model, balanced_fusion(model, 'net.', **{**settings, **changes})


def plainly(batches, name='AdamW', **settings):
    make = functools.partial(getattr(torch.optim, name), lr=0.01, weight_decay=0.0)
    return train_plainly(balanced_fusion(method=METHOD), make, batches, **settings)


@pytest.mark.parametrize(
    ('optimizer', 'name', 'kind'),
    [('adamw_torch', 'AdamW', WithLoss), ('sgd', 'SGD', WithLoss), ('sgd', 'SGD', InTuple)],
)
def test_it_moves_as_in_the_plain_loop(tmp_path, optimizer, name, kind):
    batches = double_batches(20)
    model, balanced = of_trainer(kind)
    trainer(tmp_path, model, balanced, batches, optimizer, max_grad_norm=0.5).train()
    assert_same(parameters_of(model), plainly(batches, name, clip=0.5))
    assert balanced.clock.progress == pytest.approx(1.0)


@pytest.mark.parametrize('kind', [WithLoss, OfItems])
def test_micro_batches(tmp_path, kind):
    batches = double_batches(20)
    model, balanced = of_trainer(kind)
    settings = dict(gradient_accumulation_steps=2, max_steps=10, max_grad_norm=0.5)
    trainer(tmp_path, model, balanced, batches, **settings).train()
    assert_same(parameters_of(model), plainly(batches, parts=2, clip=0.5))


@RESUMES
def test_state_goes_on_where_it_stopped(tmp_path):
    batches = double_batches(8)
    results = []
    for name, until in (('whole', None), ('parts', 4)):
        model, balanced = of_trainer()
        settings = dict(max_steps=8, save_strategy='steps', save_steps=4)
        trainer(tmp_path / name, model, balanced, batches, **settings).train()
        if until:
            model, balanced = of_trainer()
            checkpoint = tmp_path / name / f'checkpoint-{until}'
            trainer(tmp_path / name, model, balanced, batches, **settings).train(str(checkpoint))
        results.append((parameters_of(model), balanced.stats()))
    assert_same(results[1][0], results[0][0])
    assert results[1][1] == results[0][1]


@RESUMES
def test_a_state_that_is_not_there_is_said(tmp_path):
    batches, settings = double_batches(4), dict(max_steps=4, save_strategy='steps', save_steps=2)
    trainer(tmp_path, *of_trainer(), batches, **settings).train()
    checkpoint = tmp_path / 'checkpoint-2'
    assert (checkpoint / STATE).is_file() and not list(checkpoint.glob('.tmp-*'))
    (checkpoint / STATE).unlink()
    messages = []
    with mock.patch('mmcggm.apis.transformers.print_log', lambda message, *_: messages.append(message)):
        trainer(tmp_path, *of_trainer(), batches, **settings).train(str(checkpoint))
    assert [str(checkpoint / STATE) in message for message in messages] == [True]


def test_evaluation_is_not_watched(tmp_path):
    batches = double_batches(2)
    model, balanced = of_trainer()
    task = trainer(tmp_path, model, balanced, batches, max_steps=2)
    task.train()
    passes = balanced.clock.iteration
    assert task.evaluate(Samples(batches))['eval_loss'] > 0
    assert balanced.clock.iteration == passes == 2


class Interrupting(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        raise KeyboardInterrupt


def test_a_training_may_begin_after_one_that_was_interrupted(tmp_path):
    batches = double_batches(4)
    model, balanced = of_trainer()
    task = trainer(tmp_path, model, balanced, batches, 'sgd', max_steps=4)
    task.add_callback(Interrupting())
    with pytest.raises(KeyboardInterrupt):
        task.train()
    task.pop_callback(Interrupting)
    task.train()
    assert balanced.clock.iteration == 1 + 4 and not model._forward_hooks


@TAKES_LOSS
def test_what_passes_over_the_guides_is_noticed(tmp_path):
    batches = double_batches(2)
    model, balanced = of_trainer(OfLogits, target=lambda arguments: arguments['x'].new_zeros(16).long())
    task = trainer(tmp_path, model, balanced, batches)
    task.compute_loss_func = lambda outputs, labels, num_items_in_batch: outputs['logits'].sum()
    with pytest.raises(RuntimeError, match='Backward did not pass through the loss that the model returned'):
        task.train()


def test_what_the_trainer_can_not_do_is_refused(tmp_path):
    batches = double_batches(2)
    model, balanced = of_trainer()
    model.config = PretrainedConfig()
    with pytest.raises(ValueError, match='`label_smoothing_factor`'):
        trainer(tmp_path, model, balanced, batches, label_smoothing_factor=0.1).train()
    model, balanced = of_trainer(target=None)
    with pytest.raises(ValueError, match='Nothing says where the target is'):
        trainer(tmp_path, model, balanced, batches).train()

"""Tasks of a loop of one's own: what a guide learns from targets of many kinds."""

import functools

import pytest
import torch
from torch import Tensor, nn

import mmcggm
from mmcggm.guided import FunctionTask, RegressionTask
from mmcggm.registry import TASKS

adamw = functools.partial(torch.optim.AdamW, lr=0.02)


class Maps(nn.Module):
    """Two streams of maps ``(N, 2, 8, 8)``, at half of the size, and logits in the size of the input."""

    def __init__(self, outputs: int, dense: bool) -> None:
        super().__init__()
        self.streams = nn.ModuleDict({name: nn.Conv2d(1, 6, 2, stride=2) for name in ('t1', 't2')})
        self.dense = dense
        self.head = nn.Conv2d(6, outputs, 1) if dense else nn.Linear(6, outputs)

    def forward(self, x: Tensor) -> Tensor:
        fused = torch.relu(sum(self.streams[f't{i + 1}'](x[:, i : i + 1]) for i in range(2)))
        if not self.dense:
            return self.head(fused.mean((2, 3)))
        return nn.functional.interpolate(self.head(fused), size=x.shape[2:], mode='bilinear')


def images(count: int = 8) -> Tensor:
    return torch.randn(count, 2, 8, 8, generator=torch.Generator().manual_seed(0))


def strength(x: Tensor) -> Tensor:
    return x.mean((1, 2, 3)) * 8


ordinal_loss = functools.partial(nn.functional.binary_cross_entropy_with_logits)
KINDS = {
    # task: outputs, dense, target of the images, loss of logits and target
    'classification': (2, False, lambda x: (strength(x) > 0).long(), nn.functional.cross_entropy),
    'multilabel': (
        2,
        False,
        lambda x: torch.stack([strength(x) > 0, x[:, 0].mean((1, 2)) > 0], 1).float(),
        nn.functional.binary_cross_entropy_with_logits,
    ),
    'ordinal': (
        3,
        False,
        lambda x: torch.bucketize(strength(x), torch.tensor([-1.0, 0.0, 1.0])),
        lambda p, t: nn.functional.binary_cross_entropy_with_logits(
            p, (t[:, None] > torch.arange(3)).float()
        ),
    ),
    'regression': (
        3,
        False,
        lambda x: strength(x)[:, None] * torch.tensor([1.0, -1.0, 0.5]),
        nn.functional.l1_loss,
    ),
    'segmentation': (2, True, lambda x: (x.sum(1) > 0).long(), nn.functional.cross_entropy),
}


@pytest.mark.parametrize('task', KINDS)
def test_guides_learn_it(task):
    torch.manual_seed(0)
    outputs, dense, target_of, criterion = KINDS[task]
    model = Maps(outputs, dense)
    balanced = mmcggm.balance(model, 'streams', 'head', task)
    optimizer = balanced.prepare(adamw(model.parameters()))
    x = images()
    target, losses = target_of(x), []
    for _ in range(60):
        with balanced.watch(target) as seen:
            loss = criterion(model(x), target)
        balanced.loss(loss).backward()
        losses.append(sum(map(float, seen.guide_losses)))
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < 0.8 * losses[0]
    assert {f'score/{name}' for name in ('t1', 't2')} < set(balanced.stats())


def test_dense_regression_and_labels_are_resized():
    for task, target in (('regression', images()[:, 0]), ('multilabel', (images()[:, :1] > 0).float())):
        model = Maps(1, True)
        balanced = mmcggm.balance(model, 'streams', 'head', task)
        balanced.prepare(adamw(model.parameters()))
        with balanced.watch(target) as seen:
            loss = model(images()).mean()
        balanced.loss(loss).backward()
        assert [p.shape for p in seen.predictions()] == [(8, 1, 8, 8)] * 2


@pytest.mark.parametrize('kind', [torch.long, torch.float])
def test_several_labels_are_no_classes(kind):
    model = Maps(2, False)
    balanced = mmcggm.balance(model, 'streams', 'head', 'classification')
    balanced.prepare(adamw(model.parameters()))
    with balanced.watch(torch.tensor([[1, 1]] + [[0, 1]] * 7).to(kind)):
        loss = model(images()).mean()
    with pytest.raises(ValueError, match=r'[Oo]f several labels a sample it is a MultiLabelTask'):
        balanced.loss(loss)


def test_probabilities_are_classes():
    model = Maps(2, False)
    balanced = mmcggm.balance(model, 'streams', 'head', 'classification')
    balanced.prepare(adamw(model.parameters()))
    with balanced.watch(torch.tensor([[0.3, 0.7]] * 8)):
        loss = model(images()).mean()
    assert balanced.loss(loss).isfinite()


def test_a_task_is_registered_in_a_line():
    TASKS.register_module(
        'signs',
        module=lambda: FunctionTask(
            nn.functional.l1_loss, lambda p, t: (p.sign() == t.sign()).float().mean(1)
        ),
        force=True,
    )
    results = []
    for task in (
        'signs',
        dict(type='signs'),
        RegressionTask('target', score='sign'),
        dict(type='RegressionTask', target='target'),
    ):
        torch.manual_seed(0)
        model = Maps(1, False)
        balanced = mmcggm.balance(model, 'streams', 'head', task)
        balanced.prepare(adamw(model.parameters()))
        with balanced.watch(strength(images())[:, None]):
            loss = model(images()).mean()
        results.append(float(balanced.loss(loss)))
    assert results == [pytest.approx(results[0])] * 4


@pytest.mark.parametrize(
    'target', ['y', 'batch.y', 'inputs.1', lambda arguments: next(iter(arguments.values()))]
)
def test_a_target_is_found_in_the_arguments(target):
    class Given(Maps):
        def forward(self, *inputs, **named):
            batch = named.get('batch', named)
            return super().forward(inputs[0] if inputs else batch['x'])

    labels = (strength(images()) > 0).long()
    model = Given(2, False)
    balanced = mmcggm.balance(model, 'streams', 'head', 'classification', target=target)
    balanced.prepare(adamw(model.parameters()))
    with balanced.watch() as seen:
        if target == 'y':
            model(x=images(), y=labels)
        elif target == 'inputs.1':
            model(images(), labels)
        elif target == 'batch.y':
            model(batch=dict(x=images(), y=labels))
        else:
            model(y=labels, x=images())
    assert seen.batch['target'] is labels

"""A tiny two-modality classifier for MMEngine's runner, for tests of the engine."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import torch
from mmengine.dataset import default_collate
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.data import Dataset

from mmcggm.balancers import Balancer, Clock, Training
from mmcggm.engine import BalancedRunner, BalancingHook, GuideScoreHook
from mmcggm.guided import Guide, GuidedModel, Task
from mmcggm.registry import MODELS, TASKS

ENCODERS = dict(left='left_encoder', right='right_encoder')


@MODELS.register_module()
class TinyClassifier(BaseModel):
    """Two linear encoders, a sum, tanh and a linear head on vectors of 4 features."""

    def __init__(self) -> None:
        super().__init__()
        self.left_encoder = nn.Linear(4, 8)
        self.right_encoder = nn.Linear(4, 8)
        self.classifier = nn.Linear(8, 3)

    def forward(self, left: Tensor, right: Tensor, label: Tensor, mode: str = 'tensor'):
        logits = self.classifier(torch.tanh(self.left_encoder(left) + self.right_encoder(right)))
        if mode == 'loss':
            return dict(loss=nn.functional.cross_entropy(logits, label))
        return logits if mode == 'tensor' else list(logits.argmax(1) == label)


@MODELS.register_module()
class TinyGuide(Guide):
    def __init__(self, outputs: int = 3) -> None:
        super().__init__()
        self.layer = nn.Linear(8, outputs)

    @property
    def last_layer(self) -> nn.Module:
        return self.layer

    def forward(self, representation: Tensor) -> Tensor:
        return self.layer(torch.tanh(representation))


@TASKS.register_module()
class TinyTask(Task):
    def loss(self, model, prediction, batch):
        return nn.functional.cross_entropy(prediction, batch['label'])

    def counts(self, model, prediction, batch):
        correct = (prediction.argmax(1) == batch['label']).sum().float()
        return torch.stack([correct, correct.new_full((), len(prediction))]).unsqueeze(0)


class TinyData(Dataset):
    """Vectors whose label depends on both modalities, on ``left`` more strongly."""

    def __init__(self, size: int = 64) -> None:
        generator = torch.Generator().manual_seed(0)
        self.left, self.right = (torch.randn(size, 4, generator=generator) for _ in range(2))
        self.label = (self.left[:, 0] + 0.3 * self.right[:, 0]).sign().long() + 1

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, index: int) -> dict:
        return dict(left=self.left[index], right=self.right[index], label=self.label[index])


def batches(count: int, size: int = 16) -> list[dict]:
    """Return the first batches of :class:`TinyData`."""
    data = TinyData(count * size)
    return [default_collate([data[i * size + j] for j in range(size)]) for i in range(count)]


def weights(module: nn.Module) -> Tensor:
    """Return all parameters of a module as one vector."""
    return torch.cat([p.detach().flatten() for p in module.parameters()])


class Accuracy(BaseMetric):
    def process(self, data_batch, data_samples):
        self.results.extend(float(hit) for hit in data_samples)

    def compute_metrics(self, results):
        return dict(accuracy=sum(results) / len(results))


def tiny_guided(**overrides) -> GuidedModel:
    """Return a guided TinyClassifier with seeded weights."""
    torch.manual_seed(0)
    settings = dict(
        model=dict(type='TinyClassifier'),
        encoders=ENCODERS,
        head='classifier',
        guide=dict(type='TinyGuide'),
        task=dict(type='TinyTask'),
    )
    with DefaultScope.overwrite_default_scope('mmcggm'):
        return GuidedModel(**{**settings, **overrides})


def classifier_guided(**overrides) -> GuidedModel:
    """Return :func:`tiny_guided` with the project's own task, which knows probabilities and labels."""
    return tiny_guided(task=dict(type='ClassificationTask', target='label'), **overrides)


def wrapper_config(**overrides) -> dict:
    """Return the config of a BalancedOptimWrapper whose guides have their own optimizer."""
    return {
        **dict(
            type='BalancedOptimWrapper',
            constructor='GuidedOptimWrapperConstructor',
            optimizer=dict(type='SGD', lr=0.1, momentum=0.9),
            guide_optimizer=dict(type='SGD', lr=0.05),
            balancer=dict(type='CGGM', rho=1.3, lam=0.2),
        ),
        **overrides,
    }


def build_wrapper(model: nn.Module, **overrides):
    with DefaultScope.overwrite_default_scope('mmcggm'):
        return build_optim_wrapper(model, wrapper_config(**overrides))


def attached(balancer: Balancer, guided: GuidedModel) -> Balancer:
    """Attach ``balancer`` to a training of ``guided``, and return it."""
    balancer.attach(Training(guided.modalities, guided.encoder_parameters()))
    return balancer


def balanced_gradients(balancer: Balancer, guided: GuidedModel, batch: dict) -> dict[str, Tensor | None]:
    """Return the gradients that an update of one batch leaves at the parameters, by name."""
    guided.zero_grad()
    with guided.changing(balancer.pass_changes()):
        loss, _ = guided.parse_losses(guided(**batch, mode='loss'))
    term = balancer.see(guided.take_pass())
    (loss if term is None else loss + term).backward()
    balancer.finish_update()
    return {name: parameter.grad for name, parameter in guided.named_parameters()}


def attached_wrapper(guided: GuidedModel, progress: float = 0.0, **overrides):
    """Return :func:`build_wrapper` whose balancer is attached to a training that has come this far."""
    wrapper = build_wrapper(guided, **overrides)
    wrapper.attach(guided, Clock(progress=progress))
    return wrapper


def tiny_runner(work_dir: Path, max_epochs: int = 2, hooks: list | None = None, **overrides) -> Runner:
    """Return a runner that trains a guided TinyClassifier with CGGM for a few epochs of four batches."""
    settings = dict(
        model=tiny_guided(),
        work_dir=str(work_dir),
        experiment_name=f'tiny_{uuid4().hex}',
        train_dataloader=dict(
            dataset=TinyData(),
            batch_size=16,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=True),
            collate_fn=default_collate,
        ),
        optim_wrapper=wrapper_config(),
        train_cfg=dict(by_epoch=True, max_epochs=max_epochs),
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=2), checkpoint=dict(type='CheckpointHook', interval=1)
        ),
        custom_hooks=[BalancingHook()] if hooks is None else hooks,
        randomness=dict(seed=0),
        default_scope='mmcggm',
        log_level='ERROR',
    )
    return BalancedRunner(**{**settings, **overrides})


def evaluating_runner(work_dir: Path, **overrides) -> Runner:
    """Return a runner that trains, validates and tests on batches of 16, the last of them smaller."""
    loader = dict(
        dataset=TinyData(37),
        batch_size=16,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        collate_fn=default_collate,
    )
    settings = dict(hooks=[GuideScoreHook()])
    for split in ('val', 'test'):
        settings |= {f'{split}_dataloader': loader, f'{split}_cfg': {}, f'{split}_evaluator': [Accuracy()]}
    return tiny_runner(work_dir, **{**settings, **overrides})

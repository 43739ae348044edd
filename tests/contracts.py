"""What the contract tests train: a model of any number of modalities, every method, and a plain loop.

:data:`CASES` has every registered balancing method; what is particular to one stands in its line there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal
from unittest import mock
from uuid import uuid4

import torch
from mmengine.dataset import default_collate
from mmengine.hooks import Hook
from mmengine.model import BaseModel, MMDistributedDataParallel
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from mmcggm.balancers import Balancer, Clock
from mmcggm.engine import BalancingHook, GuideScoreHook
from mmcggm.engine.runner import BalancedRunner
from mmcggm.guided import GuidedModel
from mmcggm.guided.survey import mean_losses, survey, whole_pass
from mmcggm.registry import BALANCERS, MODELS
from tests.tiny import Accuracy, build_wrapper, classifier_guided, wrapper_config

EPOCH, STEPS, BATCH = 2, 6, 12  # updates of an epoch, updates and samples of a plain training
SCALE = 2.0**10  # of a loss

# Why the micro-batches of an update don't add up to it.
SO_FAR = 'weights the loss of a micro-batch by what the update has shown so far'
DRAWS = 'draws anew in each pass'
NEGATIVES = 'compares the samples of a batch with each other'
PASSES = 'counts passes, and looks at one of several'
# Why an update that overflowed is not as if it had never been: it used up a turn, which the host counts.
TURNS = 'takes turns by the update or the pass'
NOISE = 'draws by the number of the update'


@dataclass(frozen=True)
class Case:
    """A balancing method with its settings, and what it may do otherwise than the others.

    Attributes:
        settings: Config of the balancer, or of several; what depends on the number of modalities is a
            function of it.
        taught: Whether it needs teachers.
        batch_needs: Which modalities a batch must have, or the method refuses it.
        counters: What of its state counts updates or passes on the host, also those that overflow.
        not_accumulated: Why an update of micro-batches may differ from that of the whole batch.
        not_skipped: Why the update after one that overflowed may differ from what it would have been.
        not_distributed: Why two processes may differ from one.
    """

    settings: dict[str, Any] | list[dict[str, Any]]
    taught: bool = False
    batch_needs: Literal['one', 'two', 'all'] = 'one'
    counters: frozenset[str] = field(default_factory=frozenset)
    not_accumulated: str = ''
    not_skipped: str = ''
    not_distributed: str = ''

    def config(self, modalities: int) -> dict[str, Any] | list[dict[str, Any]]:
        """Return the balancer's config for a number of modalities."""

        def resolved(settings: dict[str, Any]) -> dict[str, Any]:
            return {name: v(modalities) if callable(v) else v for name, v in settings.items()}

        several = isinstance(self.settings, list)
        return [resolved(s) for s in self.settings] if several else resolved(self.settings)

    def refuses(self, modalities: int, there: int) -> bool:
        """Return whether a batch that has ``there`` of the modalities is refused."""
        return there < {'one': 1, 'two': 2, 'all': modalities}[self.batch_needs]


def case(kind: str, counters: Iterable[str] = (), **settings: Any) -> Case:
    """Return a case of one method; settings that :class:`Case` knows are the case's."""
    own = {name: settings.pop(name) for name in Case.__dataclass_fields__ if name in settings}
    return Case(dict(type=kind, **settings), counters=frozenset(counters), **own)


# The methods that need settings, or variants that go other ways. Times are short, so that what happens after
# some epochs or validations happens.
# fmt: off
TABLE = {
    'AGM': case('AGM', not_accumulated=SO_FAR),
    'AGS': case('AGS', alpha=0.5),
    'AMCo': case('AMCo', sigma=0.5, eps=1.0, not_accumulated=DRAWS),
    'CGGM': case('CGGM', ('updates',), not_accumulated=SO_FAR),
    'CGGM-magnitude': case('CGGM', ('updates',), lam=0.0, rho='neutral'),
    'CGGM-update': case('CGGM', ('updates',), lam=0.0, magnitude='update'),
    'CGGM-direction': case('CGGM', ('updates',), magnitude='none', progress='SmoothedProgress',
                           not_accumulated=SO_FAR),
    'CGGM-weight': case('CGGM', ('updates',), direction='weight', bounds=(-1.0, 2.0)),
    'CGGM-interval': case('CGGM', ('updates',), lam=[(0, 0.2), (1, 0.1)], interval=2, not_accumulated=SO_FAR,
                          not_skipped=TURNS),
    'CML': case('CML', not_accumulated=DRAWS),
    'DataRemixing': case('DataRemixing', warmup=0.3),
    'DGL': case('DGL', alpha=2.0),
    'DGL-fusion': case('DGL', by='fusion'),
    'DWA': case('DWA'),
    'GradientBlending': case('GradientBlending', super_epoch=1),
    'GradientBlending-given': case('GradientBlending', weights=lambda m: [0.3] * m + [0.8]),
    'Greedy': case('Greedy', window=2, batch_needs='all'),
    # Negatives are those of the process, and a process's share of the batch is not the batch.
    'LFM': case('LFM', not_accumulated=NEGATIVES, not_distributed=NEGATIVES),
    'LFM-learned': case('LFM', alpha='learned', batch_needs='two', not_accumulated=NEGATIVES,
                        not_distributed=NEGATIVES),
    'LFM-divergence': case('LFM', alpha=[(0, 0.9), (1, 0.2)], matching='divergence'),
    'LFM-learned-divergence': case('LFM', alpha='learned', matching='divergence', batch_needs='two'),
    'MCR': case('MCR', lam_con=0.0, not_accumulated=DRAWS, not_distributed=NEGATIVES),
    'MCR-contrast': case('MCR', lam_mipd=0.0, not_accumulated=NEGATIVES, not_distributed=NEGATIVES),
    'MIDAS': case('MIDAS', not_accumulated=DRAWS, not_distributed=NEGATIVES),
    'MIMO': case('MIMO', mu=3.0, not_accumulated=SO_FAR),
    'MLA': case('MLA', ('updates',), any_fusion=True, not_skipped=TURNS),
    'MLB': case('MLB'),
    'MLB-loss': case('MLB', alpha=2.0, by='loss'),
    'MSES': case('MSES', patience=1),
    'MSLR': case('MSLR', history=2),
    'MSLR-keep': case('MSLR', strategy='keep', factors=lambda m: [0.5 + 0.5 * i for i in range(m)]),
    'ModalityDropout': case('ModalityDropout', not_accumulated=DRAWS, not_distributed=DRAWS),
    'MultiLoss': case('MultiLoss', weight=[(0, 1.0), (1, 0.5)]),
    'OGM': case('OGM', ('updates',), alpha=0.5, enhance=False),
    'OGM-GE': case('OGM', ('updates',), alpha=0.5, enhance=True, not_skipped=NOISE),
    # It draws for each sample; two processes that are seeded alike, as MMEngine does, draw alike for theirs.
    'OPM': case('OPM', not_accumulated=DRAWS, not_distributed=DRAWS),
    'PMR': case('PMR', entropy_until=0.5, batch_needs='all', not_accumulated=SO_FAR),
    'ReconBoost': case('ReconBoost', any_fusion=True, turn_epochs=1, rectify_epochs=1),
    'ReconBoost-all': case('ReconBoost', any_fusion=True, classes='all', consolidation=0.5, turn_epochs=1,
                           rectify_epochs=1),
    'ReLearning': case('ReLearning', interval=1, times=2),
    'SMV': case('SMV'),
    'SMV-modality': case('SMV', ('passes',), level='modality', every=2, not_accumulated=PASSES,
                         not_skipped=TURNS),
    'SMV-modality-all': case('SMV', ('passes',), level='modality', every=1),
    'TeachingCGGM': case('TeachingCGGM', ('updates',), lam=0.1, not_accumulated=SO_FAR),
    'UMT': case('UMT', lam=2.0, taught=True),
    'Combined': Case(
        [dict(type='OGM', enhance=False), dict(type='MultiLoss')], counters=frozenset({'updates'})
    ),
}
# fmt: on


def registered() -> list[str]:
    """Return the names of all registered methods, without those that other tests made up."""
    kinds = BALANCERS.module_dict.items()
    return sorted(n for n, k in kinds if issubclass(k, Balancer) and k.__module__.startswith('mmcggm.'))


# A method that isn't in the table is tested with its defaults.
_IN_TABLE = {c.settings['type'] for c in TABLE.values() if isinstance(c.settings, dict)}
CASES = {**TABLE, **{name: case(name) for name in registered() if name not in _IN_TABLE}}


@MODELS.register_module()
class ContractModel(BaseModel):
    """Linear encoders of ``x0``, ``x1``, …, a sum of those that a batch has, tanh and a linear head.

    Args:
        modalities: M.
        noisy: Whether encoders have batch norm, and there is dropout before the head.
    """

    def __init__(self, modalities: int, noisy: bool = False) -> None:
        super().__init__()
        extra: tuple[Callable[[], nn.Module], ...] = (lambda: nn.BatchNorm1d(8),) if noisy else ()
        self.encoders = nn.ModuleList(
            nn.Sequential(nn.Linear(4, 8), *(make() for make in extra)) for _ in range(modalities)
        )
        self.dropout = nn.Dropout(0.2 if noisy else 0.0)
        self.classifier = nn.Linear(8, 3)

    def forward(self, label: Tensor, mode: str = 'tensor', **inputs: Tensor) -> Any:
        there = [(e, inputs[f'x{i}']) for i, e in enumerate(self.encoders) if f'x{i}' in inputs]
        logits = self.classifier(self.dropout(torch.tanh(sum(encoder(x) for encoder, x in there))))
        if mode == 'loss':
            return dict(loss=nn.functional.cross_entropy(logits, label))
        return logits if mode == 'tensor' else list(logits.argmax(1) == label)


class ContractData(Dataset):
    """Samples whose class the first modality tells, the others less and less."""

    def __init__(self, modalities: int, size: int, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.x = torch.randn(size, modalities, 4, generator=generator)
        told = (self.x[..., 0] * 0.6 ** torch.arange(modalities)).sum(1)
        self.label = (told > 0.4).long() + (told > -0.4).long()

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        inputs = {f'x{i}': part for i, part in enumerate(self.x[index])}
        return dict(inputs, label=self.label[index])


def batches(modalities: int, count: int = STEPS, size: int = BATCH, seed: int = 0) -> list[dict[str, Tensor]]:
    """Return batches of :class:`ContractData`."""
    data = ContractData(modalities, count * size, seed)
    return [default_collate([data[i] for i in range(b * size, (b + 1) * size)]) for b in range(count)]


def guided_model(of: Case, modalities: int, folder: Path, noisy: bool = False) -> GuidedModel:
    """Return a guided :class:`ContractModel` with seeded weights; teachers are written to ``folder``."""
    paths = {}
    if of.taught:
        torch.manual_seed(1)
        for i in range(modalities):
            paths[f'm{i}'] = str(folder / f'teacher_{modalities}_{noisy}_{i}_{uuid4().hex}.pth')
            torch.save(dict(state_dict=ContractModel(modalities, noisy).state_dict()), paths[f'm{i}'])
    return classifier_guided(
        model=dict(type='ContractModel', modalities=modalities, noisy=noisy),
        encoders={f'm{i}': f'encoders.{i}' for i in range(modalities)},
        teachers=paths,
    )


class PlainTraining:
    """A training with MMEngine's ``train_step``, that moves the clock and tells of epochs and validations.

    Args:
        of: The method.
        folder: For teachers.
        modalities: M.
        balanced: Whether there is a balancer at all.
        dtype: Of the model. Autocast leaves float64 alone, so that under it a loss scale alone differs.
        noisy: See :class:`ContractModel`.
        seed: Of the training as it begins, once the model is there.
        scale: Of the loss, emulated on a CPU, or None for none.
        distributed: Whether this is one process of several.
        share: Function that picks this process's part of a batch.
        **wrapper: Settings of the optimizer wrapper.
    """

    def __init__(
        self,
        of: Case,
        folder: Path,
        modalities: int = 3,
        balanced: bool = True,
        dtype: torch.dtype = torch.float64,
        noisy: bool = False,
        seed: int = 0,
        scale: float | None = None,
        distributed: bool = False,
        share: Callable[[Tensor], Tensor] = lambda x: x,
        **wrapper: Any,
    ) -> None:
        self.modalities, self.dtype, self.share = modalities, dtype, share
        self.guided = guided_model(of, modalities, folder, noisy).to(dtype)
        self.clock = Clock()
        self.start = deepcopy(self.state())
        settings = dict(balancer=of.config(modalities) if balanced else None, **wrapper)
        if scale is not None:
            settings['type'] = 'BalancedAmpOptimWrapper'
        self.wrapper = build_wrapper(self.guided, **settings)
        if scale is not None:
            self.wrapper.loss_scaler = torch.amp.GradScaler('cpu', init_scale=scale)
        self.balancer: Balancer | None = self.wrapper.balancer
        self.model = MMDistributedDataParallel(self.guided) if distributed else self.guided
        self.tells_epochs = self.tells_validations = True
        self.losses: list[Tensor] = []
        self.terms: list[Tensor | None] = []
        seeded(seed)  # the wrapper takes the seed of what must be drawn alike everywhere
        if self.balancer is not None:
            self.wrapper.attach(self.guided, self.clock, self._survey, self._training_losses)
            see = self.balancer.see
            self.balancer.see = lambda seen: self._kept(see(seen))

    def step(
        self, batch: Mapping[str, Tensor], at: int = 0, of: int = STEPS, seed: int | None = None
    ) -> None:
        """Take one step, which is number ``at`` of ``of``; what it draws is seeded, if ``seed`` is given."""
        self.clock.iteration, self.clock.epoch, self.clock.progress = at, at // EPOCH, at / of
        if seed is not None:
            seeded(seed)
        batch = {n: self.share(x) for n, x in self._typed(batch).items()}
        self.losses.append(self.model.train_step(batch, self.wrapper)['loss'])

    def end_epoch(self, epoch: int = 0) -> None:
        """Tell the balancer that an epoch has ended, and what validation showed, which is made up."""
        if self.balancer is not None and self.tells_epochs:
            self.balancer.end_epoch()
        if self.balancer is not None and self.tells_validations:
            modalities = range(self.modalities)
            scores = [0.4 + 0.05 * i + (0.1 if i else -0.1) * epoch for i in modalities]
            losses = [1.1 - 0.02 * i - 0.1 * epoch / (i + 1) for i in range(self.modalities + 1)]
            self.balancer.see_validation(scores, losses)

    def run(
        self, data: Iterable[Mapping[str, Tensor]], reseed: bool = True, offset: int = 0, first: int = 0
    ) -> PlainTraining:
        """Train on batches, an update each, of which the first has the number ``first``."""
        for at, batch in enumerate(data, first):
            self.step(batch, at, seed=100 + at + offset if reseed else None)
            if (at + 1) % EPOCH == 0:
                self.end_epoch(at // EPOCH)
        return self

    def state(self) -> dict[str, Tensor]:
        return self.guided.state_dict()

    def memory(self) -> dict[str, Any]:
        """Return what the balancer remembers, flat."""
        return flat(deepcopy(self.balancer.state_dict()))

    def _survey(self, split: str) -> list[tuple[Tensor, Tensor]]:
        return survey(self.guided, whole_pass(self._loader(split)))

    def _training_losses(self) -> list[float]:
        return mean_losses(self.guided, whole_pass(self._loader('train')))

    def _loader(self, split: str) -> DataLoader:
        data = ContractData(self.modalities, 31, seed=3 if split == 'train' else 4)
        return DataLoader(
            data, batch_size=8, collate_fn=lambda samples: self._typed(default_collate(samples))
        )

    def _typed(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {n: x.to(self.dtype) if x.is_floating_point() else x for n, x in batch.items()}

    def _kept(self, term: Tensor | None) -> Tensor | None:
        self.terms.append(None if term is None else term.detach().clone())
        return term


def seeded(seed: int) -> None:
    """Seed what is drawn on the CPU; ``torch.manual_seed`` takes as long as a step of the models here."""
    torch.default_generator.manual_seed(seed)


def flat(values: Any, name: str = '') -> dict[str, Any]:
    """Return what is in nested dicts and lists by its path."""
    parts = values.items() if isinstance(values, Mapping) else enumerate(values)
    found: dict[str, Any] = {}
    for key, value in parts:
        path = f'{name}.{key}' if name else str(key)
        found |= flat(value, path) if isinstance(value, (Mapping, list, tuple)) else {path: value}
    return found


class Seeds(Hook):
    """Seeds each iteration, validations and ends of epochs aside.

    The loops draw at different times (a loader draws a seed whenever it begins), so a training that draws at
    random is the same under both only if what a pass draws depends on nothing before it.
    """

    priority = 'VERY_HIGH'

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: dict | None = None) -> None:
        seeded(100 + runner.iter)


LOOP_EPOCH, LOOP_EPOCHS, MIDDLE = 2, 4, 5  # batches an epoch, epochs, and an iteration inside the third


def run_loop(
    of: Case, folder: Path, by_epoch: bool, modalities: int = 2, resume: str | None = None
) -> Runner:
    """Train with the runner, under one of its loops, from the start or a checkpoint in ``folder``."""

    def loader(size: int, batch: int, shuffle: bool, seed: int) -> dict:
        return dict(
            dataset=ContractData(modalities, size, seed),
            batch_size=batch,
            num_workers=0,
            sampler=dict(type='DefaultSampler', shuffle=shuffle),
            collate_fn=default_collate,
        )

    by_iteration = dict(by_epoch=False, max_iters=LOOP_EPOCH * LOOP_EPOCHS, val_interval=LOOP_EPOCH)
    checkpoint = dict(interval=2) if by_epoch else dict(interval=MIDDLE, by_epoch=False, save_last=False)
    # What costs time and has no part in training.
    spared = {
        'mmengine.runner.runner.collect_env': {},
        'mmengine.visualization.Visualizer._initialize_fig': [mock.MagicMock()] * 3,
    }
    with ExitStack() as stack:
        for name, returned in spared.items():
            stack.enter_context(mock.patch(name, return_value=returned))
        runner = BalancedRunner(
            model=guided_model(of, modalities, folder),
            work_dir=str(folder),
            experiment_name=f'contract_{uuid4().hex}',
            train_dataloader=loader(LOOP_EPOCH * BATCH, BATCH, shuffle=True, seed=0),
            val_dataloader=loader(2 * BATCH, 2 * BATCH, shuffle=False, seed=5),
            val_evaluator=[Accuracy()],
            val_cfg=dict(),
            optim_wrapper=wrapper_config(balancer=of.config(modalities)),
            train_cfg=dict(by_epoch=True, max_epochs=LOOP_EPOCHS) if by_epoch else by_iteration,
            default_hooks=dict(checkpoint=dict(type='CheckpointHook', **checkpoint), logger=None, timer=None),
            # The method acts in all epochs but the first and the last.
            custom_hooks=[
                Seeds(),
                BalancingHook(begin=1, end=LOOP_EPOCHS - 1, interval=100),
                GuideScoreHook(),
            ],
            load_from=None if resume is None else str(folder / resume),
            resume=resume is not None,
            randomness=dict(seed=0),
            default_scope='mmcggm',
            log_level='ERROR',
        )
        runner.train()
    return runner


def loop_state(runner: Runner) -> dict[str, Any]:
    """Return all that a training ends with, flat."""
    return flat(deepcopy(dict(model=runner.model.state_dict(), optimizer=runner.optim_wrapper.state_dict())))


@cache
def whole_training(name: str, folder: Path) -> PlainTraining:
    """Return a plain training of a case on whole batches, of which nothing is to be changed."""
    return PlainTraining(CASES[name], folder).run(batches(3))


@cache
def scaled_training(name: str, folder: Path) -> PlainTraining:
    """Return the same training with a loss scale."""
    return PlainTraining(CASES[name], folder, scale=SCALE).run(batches(3))


@cache
def joint_training(folder: Path, noisy: bool) -> PlainTraining:
    """Return a training without a balancer; if ``noisy``, one that draws on from the first seed."""
    joint = PlainTraining(CASES['CGGM'], folder, balanced=False, noisy=noisy)
    seeded(0)
    return joint.run(batches(3), reseed=not noisy)


def forget() -> None:
    """Forget all trainings that were kept for comparison."""
    for kept in (whole_training, scaled_training, joint_training, whole_run):
        kept.cache_clear()


@cache
def whole_run(name: str, folder: Path, by_epoch: bool) -> dict[str, Any]:
    """Return what an uninterrupted training of a case ends with; its checkpoints are in ``folder``."""
    return loop_state(run_loop(CASES[name], folder, by_epoch))

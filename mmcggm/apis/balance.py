"""Balance any PyTorch model in any training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, cast

import torch
from mmengine.logging import print_log
from mmengine.model import ModuleDict
from torch import Tensor, nn
from torch.optim import Optimizer

from mmcggm.balancers import Balancer, Clock, Training, build_balancer
from mmcggm.guided import ClassificationTask, MultiLabelTask, RegressionTask, Task
from mmcggm.guided.encoder_paths import (
    ModalityEncoder,
    check_disjoint,
    check_head,
    check_head_apart,
    find_module,
)
from mmcggm.guided.guided_pass import GuidedPass
from mmcggm.guided.guides import AutoGuide, build_guides
from mmcggm.guided.teachers import Teachers
from mmcggm.structures.nested import map_tensors

GUIDES = 'mmcggm_guides'  # the child of the model that holds them
TARGET = 'target'
TASKS: dict[str, Callable[[], Task]] = {
    'classification': lambda: ClassificationTask(TARGET),
    'multilabel': lambda: MultiLabelTask(TARGET),
    'regression': lambda: RegressionTask(TARGET, score='negative_loss'),
}
# What docs/cggm.md recommends, for who names the method alone.
RECOMMENDED = {'CGGM': dict(type='CGGM', rho='neutral', lam=0.0, progress=dict(type='SmoothedProgress'))}
MAGNITUDES = ('CGGM', 'TeachingCGGM')  # methods that scale the gradient or the update
# Optimizers that divide a gradient by its own running size, which undoes a scale that lasts.
NORMALISING = ('Adam', 'AdamW', 'NAdam', 'RAdam', 'Adamax', 'Adagrad', 'RMSprop', 'Adadelta', 'Adafactor')


def balance(
    model: nn.Module,
    encoders: Mapping[str, str | Sequence[str] | dict] | str,
    head: str,
    task: str | Task | tuple[Callable, Callable],
    method: str | dict | Sequence[dict | str] | Balancer = 'CGGM',
    guide: dict | nn.Module | None = None,
    guides: Mapping[str, dict | nn.Module] | None = None,
    updates: int | None = None,
) -> Balanced:
    """Add guides to a model, so that its training can be balanced. Its ``forward`` stays as it is.

    The guides become a child of the model, ``mmcggm_guides``: optimizers, distributed wrappers, checkpoints
    and copies of the model have them. :meth:`Balanced.remove` takes them out.

    Args:
        model: Any module.
        encoders: The encoder of each modality, as of :class:`~mmcggm.guided.GuidedModel`: by modality a path
            of a module in the model, a list of paths, or a dict; or one path, whose children are the
            encoders.
        head: Path of the last layer of the model's head.
        task: ``'classification'``, ``'multilabel'``, ``'regression'``, a :class:`~mmcggm.guided.Task`, or two
            functions of a guide's prediction and the target: the loss, a scalar, and the score of each sample
            ``(N,)``, higher if better.
        method: Name or config of a method, or several. ``'CGGM'`` has the recommended settings. By default
            the encoder's update is scaled where the optimizer is one like Adam, which undoes a scale of the
            gradient, and the gradient where not; the log says so.
        guide: Config of a guide, or a module with a ``last_layer``. Default:
            :class:`~mmcggm.guided.AutoGuide`.
        guides: The same by modality, for those that differ.
        updates: How many updates the training has, for methods with a schedule. Default: schedules stay at
            their start.

    Raises:
        ValueError: If a setting does not fit the model; the message names it.

    Example:
        >>> balanced = mmcggm.balance(model, dict(audio='audio_net', image='image_net'), 'classifier',
        ...                           task='classification')
        >>> optimizer = balanced.prepare(torch.optim.AdamW(model.parameters()))
        >>> for inputs, target in loader:
        ...     with balanced.watch(target):
        ...         loss = criterion(model(**inputs), target)
        ...     balanced.loss(loss).backward()
        ...     optimizer.step()
        ...     optimizer.zero_grad()
    """
    return Balanced(model, encoders, head, task, method, guide, guides, updates)


class Balanced:
    """The balancing of one training; :func:`balance` makes it.

    Attributes:
        model: The model, with its guides.
        balancer: The method; None before :meth:`prepare`.
        clock: How far the training is. A loop that knows better than ``updates`` may move it.
    """

    def __init__(
        self,
        model: nn.Module,
        encoders: Mapping[str, str | Sequence[str] | dict] | str,
        head: str,
        task: str | Task | tuple[Callable, Callable],
        method: str | dict | Sequence[dict | str] | Balancer,
        guide: dict | nn.Module | None,
        guides: Mapping[str, dict | nn.Module] | None,
        updates: int | None,
    ) -> None:
        if hasattr(model, GUIDES):
            raise ValueError('The model is balanced already: call `remove()` of what `balance` returned.')
        if isinstance(encoders, str):
            children = find_module(model, encoders, 'encoders').named_children()
            encoders = {name: f'{encoders}.{name}' for name, _ in children}
        self.model = model
        self.encoders = tuple(ModalityEncoder.from_config(*entry) for entry in encoders.items())
        self.task = _task(task)
        self.teachers = Teachers({}, self.encoders)
        self.balancer: Balancer | None = None
        self.clock = Clock()
        self._head_path = head
        self._method = method
        self._updates = updates
        self._seen: _PlainPass | None = None
        self._unfinished = False  # whether passes wait for the optimizer's step
        self._rates = ExitStack()
        self._is_scaled = False
        self._optimizer: Optimizer | None = None
        self._handles: list[Any] = []
        self._check()
        built = build_guides(
            model, self.encoders, head, shared=guide or dict(type=AutoGuide), own=dict(guides or {})
        )
        parameter = next(iter(model.parameters()))
        model.add_module(GUIDES, ModuleDict(built).to(parameter.device))

    # What a loop calls.

    def prepare(self, optimizer: Optimizer) -> Optimizer:
        """Let ``optimizer.step()`` balance, and return the optimizer.

        Its parameter groups may be split, so that each encoder has one of its own; make schedulers
        afterwards.

        Raises:
            ValueError: If the optimizer has not the parameters of encoders and guides, or schedulers are
                there already.
        """
        held = {p for group in optimizer.param_groups for p in group['params']}
        guides = [p for p in getattr(self.model, GUIDES).parameters() if p not in held]
        lacking = [e.modality for e in self.encoders if not held.intersection(e.parameters(self.model))]
        if guides or lacking:
            what = 'the guides' if guides else f'the encoders of {lacking}'
            raise ValueError(
                f'The optimizer has not the parameters of {what}: make it from `model.parameters()` after '
                '`mmcggm.balance`.'
            )
        self.balancer = build_balancer(self._config_for(optimizer), 'method')
        needs = self.balancer.needs
        if needs.validation or needs.survey or needs.epochs:
            raise ValueError(
                f'`method` is {self.balancer.name}, which must see epochs, validation or whole data sets: '
                'train it '
                'through MMEngine (docs/any_model.md), or choose another.'
            )
        if needs.rates:
            self._split_groups(optimizer)
        parameters = [encoder.parameters(self.model) for encoder in self.encoders]
        self.balancer.attach(Training(self.modalities, parameters, self.clock))
        self._handles = [
            optimizer.register_step_pre_hook(self._before_step),
            optimizer.register_step_post_hook(self._after_step),
        ]
        self._optimizer = optimizer
        return optimizer

    @contextmanager
    def watch(self, target: Any) -> Iterator[None]:
        """Watch the one forward pass of the model inside the context, in training.

        Args:
            target: What the task compares predictions with.

        Raises:
            RuntimeError: If an encoder is called more than once in the context, or there was no
                :meth:`prepare`.
        """
        if self.balancer is None:
            raise RuntimeError('Call `balanced.prepare(optimizer)` before the first pass.')
        if self._unfinished and self._are_gradients_gone():
            # The gradient scaler skipped the step: it must leave no trace.
            self.balancer.finish_update(torch.ones(()))
            self._unfinished = False
        seen = _PlainPass(self)
        with seen.watching(seen.by_name(self.balancer.pass_changes())):
            yield
        seen.batch[TARGET] = target
        self._seen = seen

    def loss(self, loss: Tensor, scaler: Any = None) -> Tensor:
        """Return the loss with all in it: the model's, the guides', and what the method adds.

        Args:
            loss: Of the model, a scalar. Where gradients accumulate, divide what is returned by the number of
                micro-batches, not this.
            scaler: The gradient scaler, if there is one. What is returned is not yet scaled.

        Raises:
            RuntimeError: If no pass was watched since the last call.
        """
        seen, self._seen = self._seen, None
        if seen is None or self.balancer is None:
            raise RuntimeError(
                'No pass was watched: run the model inside `with balanced.watch(target):` before '
                '`balanced.loss(loss)`.'
            )
        if scaler is not None and scaler.is_enabled():
            seen.loss_scale = scaler.scale(torch.ones((), device=loss.device))
        seen.take(loss)
        term = self.balancer.see(seen)
        self._unfinished = True
        self.clock.iteration += 1
        total = loss + cast(Tensor, sum(seen.guide_losses))
        return total if term is None else total + term

    def scale(self) -> None:
        """Balance the gradients now, rather than in ``optimizer.step()``.

        For loops that clip gradients, before they do; and inside a closure, after backward.

        Raises:
            RuntimeError: If there is nothing to balance.
        """
        if self.balancer is None or not self._unfinished:
            raise RuntimeError(
                'There is nothing to balance: no `balanced.loss(…)` came since the last step. '
                + ('The loss of the watched pass was not asked for.' if self._seen is not None else '')
            )
        self._rates.close()
        self.balancer.finish_update()
        if self._optimizer is not None:
            self._rates.enter_context(self.balancer.scaled_rates(self._optimizer))
        self._unfinished, self._is_scaled = False, True

    def stats(self) -> dict[str, float]:
        """Return what was measured last, such as ``B/audio`` and ``score/audio``; it waits for the device."""
        found: dict[str, float] = {}
        for name, values in (self.balancer.stats if self.balancer is not None else {}).items():
            if isinstance(values, Tensor) and values.ndim == 1 and len(values) == len(self.modalities):
                pairs = zip(self.modalities, values.tolist(), strict=True)
                found |= {f'{name}/{modality}': value for modality, value in pairs}
            elif not isinstance(values, Tensor) or values.numel() == 1:
                found[name] = float(values)
        return found

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the method and of the clock; the guides are in the model's."""
        if self.balancer is None:
            raise RuntimeError('Call `balanced.prepare(optimizer)` first.')
        return dict(balancer=self.balancer.state_dict(), clock=vars(self.clock).copy())

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned."""
        if self.balancer is None:
            raise RuntimeError('Call `balanced.prepare(optimizer)` first.')
        self.balancer.load_state_dict(state['balancer'])
        vars(self.clock).update(state['clock'])

    def remove(self) -> nn.Module:
        """Take guides and hooks out, and return the model as it was before."""
        for handle in self._handles:
            handle.remove()
        delattr(self.model, GUIDES)
        return self.model

    # What a pass asks, see `guided_pass.Guided`.

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in the order of all that the method sees."""
        return tuple(encoder.modality for encoder in self.encoders)

    @property
    def guides(self) -> Any:
        """The guides, by modality."""
        return getattr(self.model, GUIDES)

    @property
    def head(self) -> nn.Module:
        """The last layer of the model's head."""
        return self.model.get_submodule(self._head_path)

    def fixed_changes(self) -> dict:
        """Return none: nothing is done to representations in every pass."""
        return {}

    def _check(self) -> None:
        if len(self.encoders) < 2:
            raise ValueError(f'`encoders` must name at least two modalities, got {list(self.modalities)}.')
        for encoder in self.encoders:
            encoder.check(self.model)
        check_disjoint(self.model, self.encoders)
        check_head(self.model, self._head_path)
        check_head_apart(self.model, self._head_path, self.encoders)

    def _config_for(self, optimizer: Optimizer) -> Any:
        """Return the method's config, with the magnitude that suits the optimizer unless it says one."""
        method = self._method
        config = RECOMMENDED.get(method, dict(type=method)) if isinstance(method, str) else method
        if not isinstance(config, dict) or config.get('type') not in MAGNITUDES or 'magnitude' in config:
            return config
        normalises = any(kind.__name__ in NORMALISING for kind in type(optimizer).__mro__)
        magnitude = 'update' if normalises else 'gradient'
        print_log(
            f"{config['type']} scales each encoder's {magnitude}, which suits {type(optimizer).__name__}; "
            "`method=dict(type=…, magnitude='gradient' or 'update')` sets another.",
            'current',
        )
        return {**config, 'magnitude': magnitude}

    def _split_groups(self, optimizer: Optimizer) -> None:
        """Give each encoder's parameters groups of their own, which name it by ``modality``."""
        if any('initial_lr' in group for group in optimizer.param_groups):
            raise ValueError(
                'A learning rate scheduler has the optimizer already: make it after '
                '`balanced.prepare(optimizer)`, '
                'which splits parameter groups.'
            )
        owners = {p: i for i, encoder in enumerate(self.encoders) for p in encoder.parameters(self.model)}
        split: list[dict[str, Any]] = []
        for group in optimizer.param_groups:
            for owner in (None, *range(len(self.encoders))):
                params = [p for p in group['params'] if owners.get(p) == owner]
                if params:
                    split.append({**group, 'params': params, 'modality': owner})
        optimizer.param_groups[:] = split

    def _are_gradients_gone(self) -> bool:
        return all(p.grad is None for encoder in self.encoders for p in encoder.parameters(self.model))

    def _before_step(self, optimizer: Optimizer, args: tuple, kwargs: dict[str, Any]) -> None:
        closure = kwargs.get('closure', args[1] if len(args) > 1 else None)  # the first is the optimizer
        if closure is None and not self._is_scaled:
            self.scale()

    def _after_step(self, optimizer: Optimizer, args: tuple, kwargs: dict[str, Any]) -> None:
        self._rates.close()
        if not self._is_scaled:
            raise RuntimeError(
                'Backward ran inside `optimizer.step(closure)`, and nothing was balanced: call '
                '`balanced.scale()` after it.'
            )
        self._is_scaled = False
        if self._updates is not None:
            self.clock.progress = min(1.0, self.clock.progress + 1 / self._updates)


class _PlainPass(GuidedPass):
    """A pass of a model whose loss the loop computes."""

    def take(self, loss: Tensor) -> None:
        """Take the model's loss, a scalar."""
        if not isinstance(loss, Tensor) or loss.numel() != 1:
            raise ValueError(
                f'`balanced.loss` takes the loss of the model, a scalar, got {type(loss).__name__}.'
            )
        if not self.found:
            raise RuntimeError(f'No encoder of {self.modalities} was called inside `balanced.watch`.')
        self._task_loss = loss
        _ = self.guide_losses  # with their graphs, whoever asks for scores first

    def rerun(self, changes: Mapping[int, Any]) -> GuidedPass:
        self._unknown('what the model would predict otherwise')

    @property
    def _inputs(self) -> dict[str, Any]:
        if '_leaves' not in self.__dict__:
            self._leaves = {m: map_tensors(_leaf, value) for m, value in self.found.items()}
        return self._leaves


def _leaf(tensor: Tensor) -> Tensor:
    """Return ``tensor`` without its graph; in single precision, unless it is under autocast."""
    if not tensor.is_floating_point():
        return tensor.detach()
    if not torch.is_autocast_enabled(tensor.device.type):
        tensor = tensor.to(torch.promote_types(tensor.dtype, torch.float32))
    return tensor.detach().requires_grad_(torch.is_grad_enabled())


class _FunctionTask(Task):
    """A task of two functions of prediction and target: the loss, and the score of each sample."""

    def __init__(self, loss: Callable[[Tensor, Any], Tensor], score: Callable[[Tensor, Any], Tensor]) -> None:
        self._loss, self._score = loss, score

    def loss(self, model: Any, prediction: Tensor, batch: dict[str, Any]) -> Tensor:
        return self._loss(prediction, batch[TARGET])

    def counts(self, model: Any, prediction: Tensor, batch: dict[str, Any]) -> Tensor:
        scores = self._score(prediction, batch[TARGET]).float()
        if scores.ndim != 1:
            raise ValueError(
                f'The score of `task` must be one of each sample, (N,), got {tuple(scores.shape)}.'
            )
        return torch.stack([scores.sum(), scores.new_tensor(len(scores))]).unsqueeze(0)


def _task(task: str | Task | tuple[Callable, Callable]) -> Task:
    if isinstance(task, Task):
        return task
    if isinstance(task, str) and task in TASKS:
        return TASKS[task]()
    if isinstance(task, tuple) and len(task) == 2 and all(callable(part) for part in task):
        return _FunctionTask(*task)
    raise ValueError(
        f'`task` must be one of {list(TASKS)}, a Task, or two functions of prediction and target (loss and '
        'score), '
        f'got {task!r}.'
    )

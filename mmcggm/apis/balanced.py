"""The balancing of one training in a loop of one's own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer

from mmcggm.balancers import Balancer, Clock, Training, build_balancer, scores_from_counts
from mmcggm.balancers.events import NewEvents
from mmcggm.guided import Task
from mmcggm.guided.encoder_paths import ModalityEncoder, check_disjoint, find_module
from mmcggm.guided.guides import AutoGuide, build_guides
from mmcggm.guided.heads import Heads
from mmcggm.utils.warn import warn

from .forgotten import GUIDES, Guides, notice_unwatched, versions_of
from .loop_control import LoopControl
from .loop_guided import LoopGuided
from .loop_pass import LoopPass, loss_of
from .loop_scores import Run, loop_scores
from .magnitude import suited
from .method import Method, check_method, said_name
from .sample import representations_of
from .scaled_update import ScaledUpdate, is_unscaled
from .task_of import TARGET, Target, find_in, task_of

Encoders = Mapping[str, str | nn.Module | Sequence[str | nn.Module] | dict] | str
Head = str | nn.Module | Mapping[str, str | nn.Module] | None
_AS_BALANCE_SAYS = object()
DISTRIBUTED = ('DistributedDataParallel', 'FullyShardedDataParallel', 'FSDPModule')


class Balanced:
    """The balancing of one training; :func:`balance` makes it.

    Attributes:
        model: The model, with its guides; of one that ``torch.compile`` has made, what it was made of.
        balancer: The method; None before :meth:`prepare`.
        clock: How far the training is. A loop that knows better than ``updates`` may move it.
        updates: How many updates the training has, or None.
        is_scaled: Whether the update is balanced, and waits for the optimizer's step.
    """

    def __init__(
        self,
        model: nn.Module,
        encoders: Encoders,
        head: Head,
        task: str | dict | Task | tuple[Callable, Callable],
        method: Method,
        guide: dict | nn.Module | None,
        guides: Mapping[str, dict | nn.Module] | None,
        target: Target | None,
        sample: Any,
        updates: int | None,
        only: str | None,
        control: bool,
    ) -> None:
        model = _plain(model)
        if hasattr(model, GUIDES):
            raise ValueError('The model is balanced already: call `remove()` of what `balance` returned.')
        if isinstance(encoders, str):
            children = find_module(model, encoders, 'encoders').named_children()
            encoders = {name: f'{encoders}.{name}' for name, _ in children}
        check_method(method)
        if not isinstance(encoders, Mapping):
            raise ValueError(
                '`encoders` must name the encoder of each modality, such as '
                f"dict(audio='audio_net', image='image_net'), got {type(encoders).__name__}."
            )
        found = tuple(ModalityEncoder.from_config(n, _paths(e, model)) for n, e in encoders.items())
        names = [encoder.modality for encoder in found]
        odd = [name for name in names if not isinstance(name, str) or not name or '.' in name]
        if odd:
            raise ValueError(f'Modalities in `encoders` must have names without dots, got {odd}.')
        heads = Heads.from_config(_paths(head, model), names)
        _check(model, found, heads, only)
        self.model = model
        self.balancer: Balancer | None = None
        self.clock = Clock()
        self.updates = updates
        self._method = method
        self._target = target
        self._has_control = control
        self._control: LoopControl | None = None
        self._handles: list[Any] = []
        self._is_removed = False
        self._new_events = NewEvents()
        # Of the update under way:
        self._seen: LoopPass | None = None
        self._scored: LoopPass | None = None  # of the last pass what its scores need
        self._unfinished = False  # whether passes wait for the optimizer's step
        self.is_scaled = False
        self._before: dict[str, Any] = {}  # the method's state before the update was scaled
        self._versions: list[int] = []  # of the encoders' parameters, when the last pass was seen
        self._update: ScaledUpdate | None = None
        self._optimizer: Optimizer | None = None
        self._scaler: Any = None  # of gradients, and by what it multiplies losses
        self._loss_scale: Tensor | None = None
        examples = None if sample is None else representations_of(model, found, sample)
        built = build_guides(model, found, heads, guide or dict(type=AutoGuide), dict(guides or {}), examples)
        like = next(iter(model.parameters()))
        dtype = torch.promote_types(like.dtype, torch.float32)
        model.add_module(GUIDES, Guides(built).to(like.device, dtype))
        self._guided = LoopGuided(model, found, heads, task_of(task), only)
        self._notice = model.register_forward_pre_hook(notice_unwatched)

    # What a loop calls.

    def prepare(self, optimizer: Optimizer) -> Optimizer:
        """Let ``optimizer.step()`` balance, and return the optimizer.

        Args:
            optimizer: Of the model's parameters with the guides'; also one that Accelerate or Lightning has
                wrapped.

        Raises:
            ValueError: If the optimizer has not the parameters of encoders and guides, or the method does not
                go with a loop or with the optimizer.
        """
        self._check_there()
        inner = optimizer
        while isinstance(wrapped := getattr(inner, 'optimizer', None), Optimizer):
            inner = wrapped
        held = {p for group in inner.param_groups for p in group['params']}
        encoders = self._guided.encoders
        guides = [p for p in self.guides.parameters() if p not in held]
        lacking = [
            e.modality for e in encoders if (own := e.parameters(self.model)) and not held.intersection(own)
        ]
        if guides or lacking:
            what = 'the guides' if guides else f'the encoders of {lacking}'
            raise ValueError(
                f'The optimizer has not the parameters of {what}: make it from '
                '`model.parameters()` after `mmcggm.balance`.'
            )
        balancer = build_balancer(suited(self._method, inner, bool(self._guided.heads.paths)), 'method')
        if balancer.needs.rates and isinstance(inner, LBFGS):
            raise ValueError(
                f'{balancer.name} scales updates here, which LBFGS takes several times a step: set '
                "`magnitude='gradient'` in `method`, or choose another optimizer."
            )
        balancer.attach(Training(self.modalities, [e.parameters(self.model) for e in encoders], self.clock))
        self._release()
        self._scored, self._new_events = None, NewEvents()
        self._optimizer, self._scaler = inner, None
        self._control = LoopControl(self._guided, inner) if self._has_control else None
        self.balancer = balancer
        self._handles = [
            inner.register_step_pre_hook(self._before_step),
            inner.register_step_post_hook(self._after_step),
        ]
        return optimizer

    @contextmanager
    def watch(self, target: Any = _AS_BALANCE_SAYS) -> Iterator[LoopPass]:
        """Watch the one forward pass of the model inside the context, in training.

        Args:
            target: What the task compares predictions with. Default: what ``target`` of :func:`balance` says.

        Yields:
            The pass, which knows what it showed once the context has ended.

        Raises:
            RuntimeError: If an encoder is called more than once in the context, there was no
                :meth:`prepare`, or another optimizer has taken the step.
            ValueError: If nothing says where the target is.
        """
        self._check_there()
        balancer = self._prepared()
        if target is _AS_BALANCE_SAYS and self._target is None:
            raise ValueError(
                'Nothing says where the target is: give `watch(target)`, or `balance(target=…)`.'
            )
        self._forget_what_was_not_stepped(balancer)
        if self._control is not None:
            self._control.accumulate()
        self.guides.unwatched = None
        with self._guided.watch(balancer.pass_changes(), balancer.name) as seen:
            seen.copies_call = self._control is not None
            yield seen
        if target is _AS_BALANCE_SAYS:
            target = find_in(seen.batch, cast(Target, self._target))
        seen.batch[TARGET] = target
        self._seen = seen

    def loss(self, output: Any, scaler: Any = None, share: float | Tensor = 1.0) -> Tensor:
        """Return the loss with all in it: the model's, the guides', and what the method adds.

        Args:
            output: The loss of the model, a scalar; or what the model returned, with its loss as entry or
                attribute ``loss``, or first in a tuple. Where gradients accumulate, divide what is returned
                by the number of micro-batches, not this.
            scaler: The gradient scaler, if there is one. What is returned is not yet scaled.
            share: The pass's share of the update, where the loss is already divided by the number of
                micro-batches.

        Raises:
            RuntimeError: If no pass was watched since the last call.
            ValueError: If there is no loss in ``output``.
        """
        self._check_there()
        seen, self._seen = self._seen, None
        if seen is None or self.balancer is None:
            raise RuntimeError(
                'No pass was watched: run the model inside `with balanced.watch(target):` before '
                '`balanced.loss(loss)`.'
            )
        self._scored = None  # before guides predict anew, so that memory holds this once
        loss = loss_of(output)
        self._scaler = scaler if scaler is not None and scaler.is_enabled() else None
        if self._scaler is not None:
            seen.loss_scale = self._loss_scale = scaler.scale(torch.ones((), device=loss.device))
        seen.take(loss)
        added = self.balancer.see(seen)
        self._scored = seen.kept_for_scores()
        self._unfinished = True
        self._versions = versions_of(self.balancer.encoders)
        self.clock.iteration += 1
        guides = cast(Tensor, sum(seen.guide_losses))
        total = loss + share * (guides if added is None else guides + added)
        self.balancer.count_event('the loss of a pass was not finite', ~total.isfinite())
        if self._control is not None:
            self._control.see(seen, total, share)
        return total

    def scale(self) -> None:
        """Balance the gradients now, rather than in ``optimizer.step()``.

        For loops that clip gradients, before they do; and inside a closure, after backward.

        Raises:
            RuntimeError: If there is nothing to balance, or it is balanced already.
        """
        self._check_there()
        if self.is_scaled:
            raise RuntimeError(
                'The gradients of this update are balanced already: `balanced.scale()` or `balanced.skip()` '
                'was called since the last step. Call one of them once before each `optimizer.step()`; '
                'integrations, such as `BalanceCallback`, call it for you.'
            )
        if self.balancer is None or not self._unfinished:
            raise RuntimeError(
                'There is nothing to balance: no `balanced.loss(…)` came since the last step. Take '
                '`balanced.loss(loss).backward()` in the place of `loss.backward()`.'
            )
        self._before = self.balancer.state_dict()
        with self._unscaled():
            self.balancer.finish_update()
        factors = self.balancer.rate_factors() if self.balancer.active else None
        self._update = None if factors is None else ScaledUpdate(self.balancer.encoders, factors)
        self._unfinished, self.is_scaled = False, True

    def skip(self) -> None:
        """Let the next ``optimizer.step()`` pass without a trace, where a loop drops a batch."""
        self._check_there()
        self._seen = None
        self._undo(self._prepared())
        self.is_scaled, self._before = True, self._prepared().state_dict()

    def evaluate(self, loader: Iterable[Any], run: Run | None = None) -> dict[str, float]:
        """Return what guides and model score on a data set, in evaluation mode, over all processes.

        Modes, batch statistics and generators of random numbers stay as they are.

        Args:
            loader: Of batches ``(inputs, target)``, with inputs by name in a dict or by position, or
                ``(first, second, …, target)``; or, where ``target`` of :func:`balance` says where ``forward``
                gets it, of inputs alone. Tensors are brought to the device of the model.
            run: For other batches, a function of one that calls the model once and returns the target.

        Returns:
            ``guide/{modality}``, the score of each guide; ``fused``, that of the model's prediction, if it
            has one head; with ``control``, ``guide_untrained/{modality}``, see
            :class:`~mmcggm.guided.UntrainedGuides`. Scores are those of the task. One without samples is NaN.

        Raises:
            ValueError: If the model can't be run on what the loader yields.
            RuntimeError: If there is to be a control, and :meth:`prepare` was not called.
        """
        self._check_there()
        self._warn_of_events()
        if self._has_control:
            self._prepared()
        return loop_scores(self._guided, loader, run, self._target, self._control)

    def stats(self) -> dict[str, float]:
        """Return the scores of the guides, and what the method measured last.

        ``score/{modality}`` is that of the last batch that was given to :meth:`loss`, of this process, unless
        the method measures a ``score`` itself, as CGGM does. The table in docs/methods.md has what each
        measures. All is computed and read now, which waits for the device.
        """
        self._warn_of_events()
        found: dict[str, float] = {}
        if self._scored is not None:
            scores = scores_from_counts(self._scored.counts()).tolist()
            found |= {f'score/{m}': score for m, score in zip(self.modalities, scores, strict=True)}
        for name, values in (self.balancer.stats if self.balancer is not None else {}).items():
            if isinstance(values, Tensor) and values.ndim == 1 and len(values) == len(self.modalities):
                pairs = zip(self.modalities, values.tolist(), strict=True)
                found |= {f'{name}/{modality}': value for modality, value in pairs}
            elif not isinstance(values, Tensor) or values.numel() == 1:
                found[name] = float(values)
        return found

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the method, with its name, of the clock and the control.

        The guides are in the model's.
        """
        balancer = self._prepared()
        self._warn_of_events()
        state = dict(
            method=said_name(balancer), balancer=balancer.state_dict(), clock=vars(self.clock).copy()
        )
        return state if self._control is None else {**state, 'control': self._control.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what :meth:`state_dict` returned.

        Raises:
            ValueError: If it is of another method, or of a training without the control that this one has.
                Nothing has changed then.
        """
        ours = said_name(self._prepared())
        theirs = state.get('method', ours)  # earlier versions did not save it
        if theirs != ours:
            raise ValueError(
                f'The state is of a training with {theirs}, but `method` of this one is {ours}. Call '
                '`mmcggm.balance` with the method of that training; or leave out the state of `balanced` and '
                'load those of the model and the optimizer alone, so that the method begins anew.'
            )
        if self._control is not None and 'control' not in state:
            raise ValueError(
                'The state is of a training without `control=True`, so nothing tells what the encoders were '
                'before it: leave `control` out, or train with it from the start.'
            )
        self._prepared().load_state_dict(state['balancer'])
        vars(self.clock).update(state['clock'])
        if self._control is not None:
            self._control.load_state_dict(state['control'])

    def remove(self) -> nn.Module:
        """Take guides and hooks out, and return the model as it was before.

        The optimizer takes plain steps from then on. What was measured can still be read and saved.
        """
        self._check_there()
        self._release()
        self._notice.remove()
        self._is_removed = True
        return self._guided.remove()

    @property
    def events(self) -> dict[str, int]:
        """How often this process has met something out of the ordinary, by description.

        Such as a loss that was not finite, or a pole of B of CGGM; what never happened may be 0 or absent.
        Nothing is read in a step, so a loop goes on without a word; a warning names what is new when
        :meth:`stats`, :meth:`state_dict` or :meth:`evaluate` is called. To read it waits for the device.
        """
        return {} if self.balancer is None else {e: int(n) for e, n in self.balancer.events.items()}

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in the order of all that the method sees."""
        return self._guided.modalities

    @property
    def guides(self) -> Guides:
        """The guides, by modality."""
        return self._guided.guides

    @contextmanager
    def _unscaled(self) -> Iterator[None]:
        """Let the method see gradients as they are without a scaler that has not divided them yet."""
        if self._scaler is None or is_unscaled(self._scaler, self._optimizer):
            yield
            return
        groups = cast(Optimizer, self._optimizer).param_groups
        grads = [p.grad for group in groups for p in group['params'] if p.grad is not None]
        scale = cast(Tensor, self._loss_scale)
        for grad in grads:
            grad.div_(scale.to(grad.device))
        yield
        for grad in grads:
            grad.mul_(scale.to(grad.device))

    def _warn_of_events(self) -> None:
        for message in self._new_events.since(self.events, 'anything was last read'):
            warn(message)

    def _check_there(self) -> None:
        if self._is_removed:
            raise RuntimeError(
                f'`balanced.remove()` has taken the guides out of {type(self.model).__name__}, so that it '
                'trains and predicts as a plain model: leave the calls of `balanced` out from then on. To '
                'balance it again, call `mmcggm.balance`, make the optimizer anew and prepare it.'
            )

    def _prepared(self) -> Balancer:
        if self.balancer is None:
            raise RuntimeError('Call `balanced.prepare(optimizer)` first, before the first pass.')
        return self.balancer

    def _release(self) -> None:
        for handle in self._handles:
            handle.remove()

    def _forget_what_was_not_stepped(self, balancer: Balancer) -> None:
        """Leave no trace of an update that a gradient scaler skipped, or that a closure evaluates once more.

        Raises:
            RuntimeError: If the step was taken, but not by the optimizer that was prepared.
        """
        if self._unfinished and self._versions != versions_of(balancer.encoders):
            raise RuntimeError(
                'The encoders were updated, but not by the optimizer of `balanced.prepare(optimizer)`, so '
                'nothing was balanced: prepare the optimizer that takes the step.'
            )
        gone = all(p.grad is None for parameters in balancer.encoders for p in parameters)
        if self.is_scaled or (self._unfinished and gone):
            self._undo(balancer)

    def _undo(self, balancer: Balancer) -> None:
        if self.is_scaled:
            balancer.load_state_dict(self._before)
        elif self._unfinished:
            balancer.finish_update(torch.ones(()))
        self._unfinished = self.is_scaled = False
        self._update = None
        if self._control is not None:
            self._control.forget()

    def _before_step(self, optimizer: Optimizer, args: tuple, kwargs: dict[str, Any]) -> None:
        closure = kwargs.get('closure', args[1] if len(args) > 1 else None)  # the first is the optimizer
        if closure is None and not self.is_scaled:
            self.scale()

    def _after_step(self, optimizer: Optimizer, args: tuple, kwargs: dict[str, Any]) -> None:
        if not self.is_scaled:
            raise RuntimeError(
                'Backward ran inside `optimizer.step(closure)`, and nothing was balanced: call '
                '`balanced.scale()` after it.'
            )
        if self._update is not None:
            self._update.finish()
        self._update, self._before, self.is_scaled = None, {}, False
        if self._control is not None:
            self._control.step()
        if self.updates is not None:
            self.clock.progress = min(1.0, self.clock.progress + 1 / self.updates)


def _plain(model: nn.Module) -> nn.Module:
    """Return what ``torch.compile`` has wrapped, which goes on to work.

    Raises:
        ValueError: If the model is wrapped for several processes, whose wrapper would not know the guides.
    """
    model = getattr(model, '_orig_mod', model)
    kinds = {kind.__name__ for kind in type(model).__mro__}
    wrapper = next((name for name in DISTRIBUTED if name in kinds), None)
    if wrapper is not None:
        raise ValueError(
            f'The model is wrapped by {wrapper} already, so that no process would get the gradients that the '
            'guides have in others: call `mmcggm.balance` on the model itself, and wrap it afterwards.'
        )
    return model


def _paths(value: Any, model: nn.Module) -> Any:
    """Return a setting with the paths of modules that it holds themselves.

    Raises:
        ValueError: If one is no part of the model.
    """
    if isinstance(value, nn.Module):
        path = next((name for name, module in model.named_modules() if module is value and name), None)
        if path is None:
            raise ValueError(f'The {type(value).__name__} that was given is no module of the model.')
        return path
    if isinstance(value, Mapping):
        return {name: _paths(part, model) if name != 'key' else part for name, part in value.items()}
    return [_paths(part, model) for part in value] if isinstance(value, (list, tuple)) else value


def _check(model: nn.Module, encoders: Sequence[ModalityEncoder], heads: Heads, only: str | None) -> None:
    """Raise a ValueError unless the settings fit the model."""
    names = [encoder.modality for encoder in encoders]
    if len(names) < 2:
        raise ValueError(f'`encoders` must name at least two modalities, got {names}.')
    if only is not None and only not in names:
        raise ValueError(f"`only` must be one of the names in `encoders`, {names}, got '{only}'.")
    for encoder in encoders:
        encoder.check(model)
    check_disjoint(model, encoders)
    heads.check(model, encoders)

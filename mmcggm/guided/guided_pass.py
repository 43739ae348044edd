"""What one pass of a guided model's inner model showed."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import cached_property, partial
from typing import Any, NamedTuple, Protocol, cast

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModel
from torch import Tensor, nn
from torch.nn.utils import parametrize

from mmcggm.balancers import Change, Pass, differentiated_once
from mmcggm.balancers.pass_record import change_of, sum_of_present
from mmcggm.structures.misfit import naming_misfit
from mmcggm.structures.nested import check_pyramid, describe, float_tensors, map_tensors
from mmcggm.structures.sequences import is_padded, pool_tokens
from mmcggm.utils.warn import warn

from .capture import captured, changed, eager
from .encoder_paths import ModalityEncoder
from .guides import naming_guide
from .heads import Heads
from .present import find_present, in_batch, of_samples, zero_where_absent
from .reach import place_of, reaching, state_hint, unreached_message
from .shares import affine_shares, is_affine
from .tasks import Task
from .teachers import Teachers

FOR_SEQUENCES = (
    "Pick one vector of a sequence by the encoder's `key` (`[1, -1]` is the last state of a GRU), or take an "
    '`AutoGuide`, which pools (`pool`, `layout`).'
)


class Guided(Protocol):
    """What a pass asks of a guided model."""

    model: BaseModel
    encoders: Sequence[ModalityEncoder]
    task: Task
    teachers: Teachers
    present: str | None  # path in a batch, see `GuidedModel`
    fuses_affinely: bool | None  # None until a pass has tried
    reaches: dict[str, bool]  # by modality, whether its representation enters the prediction, once known

    @property
    def guides(self) -> Any: ...  # of modules by modality

    @property
    def heads(self) -> Heads: ...

    def fixed_changes(self) -> dict[str, Change]: ...


class HeadCall(NamedTuple):
    """What the last layer of the head was given, and what it returned."""

    input: Tensor
    output: Tensor


class GuidedPass(Pass):
    """One pass of the inner model of a :class:`~mmcggm.guided.GuidedModel`, in any mode.

    The model runs inside :meth:`watching`; all that is asked afterwards is computed then, guides included.

    Args:
        guided: The guided model.

    Attributes:
        batch: What the inner model's ``forward`` was called with, by argument name.
        found: The representations by modality, as the encoders made them, and zero for samples that lack the
            modality; those that appeared and that a sample has.
    """

    #: What may change representations on their way into fusion, for messages.
    changers = 'the method, `only` or `present`'

    def __init__(self, guided: Guided) -> None:
        self.guided = guided
        self.modalities = [encoder.modality for encoder in guided.encoders]
        self.batch: dict[str, Any] = {}
        self.found: dict[str, Any] = {}
        self._arguments: tuple[tuple, dict[str, Any]] = ((), {})
        self._changed: dict[str, list[Tensor]] = {}
        self._entered: dict[str, list[Tensor]] = {}  # the model's own tensors, unless they were changed
        self._marked: dict[
            str, list[Tensor]
        ] = {}  # what took their place in the pass that finds out whether they reach
        self._head_call: HeadCall | None = None
        self._task_loss: Tensor | None = None

    @contextmanager
    def watching(self, changes: Mapping[str, Change] | None = None) -> Iterator[None]:
        """Watch the one pass of the inner model inside the context.

        Args:
            changes: By modality, what is done to its representation on the way into fusion.

        Raises:
            RuntimeError: If a representation appears more than once in the context.
            ValueError: If a representation is to be changed that does not reach the prediction.
        """
        model, heads = self.guided.model, self.guided.heads
        handles = []
        if len(heads.distinct) == 1:
            head = model.get_submodule(heads.distinct[0])
            handles.append(head.register_forward_hook(self._keep_head_call, with_kwargs=True))
        computed = heads.compute_weights(model)
        told = self._told(changes or {})
        self._check_changes(told)
        changes = {modality: self._kept(modality, change) for modality, change in told.items()}
        try:
            with (
                parametrize.cached() if computed else nullcontext(),
                self.changing({}),
                captured(model, self.guided.encoders, changes, self._entered) as self.found,
            ):
                yield
                if computed:
                    _ = self.head_weights  # those that the pass used
        finally:
            for handle in handles:
                handle.remove()
        for modality in self.absent:
            self.found.pop(modality, None)

    @contextmanager
    def changing(self, changes: Mapping[str, Change]) -> Iterator[None]:
        """Make representations zero where samples lack them, then change them, without looking at them.

        Unlike in :meth:`watching` a representation may appear several times, as those of a volume's slices.

        Args:
            changes: As of :meth:`watching`.
        """
        guided = self.guided
        self._check_changes(changes)
        handle = guided.model.register_forward_pre_hook(partial(eager(_keep), self), with_kwargs=True)
        named = () if guided.present is None else self.modalities
        zeroing = {modality: partial(self._zero_where_absent, modality) for modality in named}
        try:
            with (
                changed(guided.model, guided.encoders, zeroing),
                changed(guided.model, guided.encoders, self._told(changes)),
            ):
                yield
        finally:
            handle.remove()

    def keep_arguments(self, model: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
        """Keep what the model is called with; a forward pre-hook."""
        self._arguments = args, kwargs
        self.batch = _by_argument_name(model.forward, args, kwargs)

    def set_losses(self, losses: dict[str, Any]) -> dict[str, Any]:
        """Take the losses that the inner model returned, and return them with those of the guides."""
        self._task_loss = self.guided.model.parse_losses(losses)[0]
        self.check_reach()
        _ = self.head_weights, self.guide_weights  # now, while a sharding strategy has them gathered
        names = (f'guide_{modality}.loss' for modality in self.modalities)
        return {**losses, **dict(zip(names, self.guide_losses, strict=True))}

    def check_reach(self) -> None:
        """Find out, once of each modality, whether its representation reaches what the model predicts.

        Raises:
            ValueError: If one does not, and is changed on its way into fusion. Otherwise it is a warning.
        """
        guided = self.guided
        tensors = {m: self._graphs(m) for m in self.found if m not in guided.reaches}
        tensors = {modality: own for modality, own in tensors.items() if own}
        result = self.output if self.called_head else self.task_loss
        if not tensors or not result.requires_grad:
            return
        reaching_now = reaching(result, tensors)
        guided.reaches |= {modality: modality in reaching_now for modality in tensors}
        changed = self.modalities if guided.present is not None else list(self._changed)
        self._check_changes(changed)
        for encoder in guided.encoders:
            if encoder.modality in tensors and not guided.reaches[encoder.modality]:
                warn(unreached_message(guided.model, encoder))

    @cached_property
    def there(self) -> dict[str, Tensor | None]:
        """By modality which samples have it, bool ``(N,)`` on the CPU, or None if all have it."""
        path = self.guided.present
        return {m: None if path is None else find_present(self.batch, path, m) for m in self.modalities}

    def report_missing(self, reported: set[str]) -> None:
        """Say once of each modality that its representation didn't appear.

        Args:
            reported: The modalities of which it was said; is extended.
        """
        for encoder in self.missing:
            if encoder.modality not in (*self.absent, *reported):
                reported.add(encoder.modality)
                warn(
                    f"'{encoder.representation}' was not called in a forward pass, so the batch counts as "
                    f"one without '{encoder.modality}'. If none lacks it, the model calls its parts or its "
                    '`forward`: name as `representation` a module that it calls.'
                )

    @property
    def absent(self) -> list[str]:
        """The modalities that no sample has."""
        return [modality for modality, there in self.there.items() if there is not None and not there.any()]

    @property
    def missing(self) -> list[ModalityEncoder]:
        """The encoders whose representation did not appear, or that no sample has.

        Raises:
            RuntimeError: If none appeared.
        """
        missing = [encoder for encoder in self.guided.encoders if encoder.modality not in self.found]
        if len(missing) == len(self.modalities):
            raise RuntimeError(
                f'None of the modules {[e.representation for e in missing]} was called in a forward pass. If '
                'the model uses them by another method than `forward`, name modules that are called, as '
                '`representation` in `encoders`.'
            )
        return missing

    @property
    def called_head(self) -> bool:
        """Whether the model called the last layer of its head."""
        return self._head_call is not None

    @property
    def task_loss(self) -> Tensor:
        return self._unknown('the loss of the fused model') if self._task_loss is None else self._task_loss

    @cached_property
    def guide_losses(self) -> list[Tensor]:
        return [
            differentiated_once(self._raw_losses[modality], guide.parameters())
            if modality in self.found
            else _zero(guide)
            for modality, guide in self.guided.guides.items()
        ]

    @property
    def head_weight(self) -> Tensor:
        if len(self.guided.heads.distinct) > 1:
            self._unknown('the weight of one head, and each modality has its own')
        return self.head_weights[0]

    @cached_property
    def head_weights(self) -> list[Tensor]:
        heads = self.guided.heads
        if not heads.paths:
            self._unknown('the weight of the head, and there is no `head`')
        return [cast(Tensor, layer.weight) for layer in heads.layers(self.guided.model)]

    @cached_property
    def guide_weights(self) -> list[nn.Parameter]:
        return [guide.last_layer.weight for guide in self.guided.guides.values()]

    @property
    def head_input(self) -> Tensor:
        return self._called_head().input

    @property
    def output(self) -> Tensor:
        return self._called_head().output

    @torch.no_grad()
    def counts(self) -> Tensor:
        task, model = self.guided.task, self.guided.model
        counts = {m: task.counts(model, p, self._batch_of(m)) for m, p in self._predictions.items()}
        return self._stacked(counts)

    @torch.no_grad()
    def loss_counts(self) -> Tensor:
        """Return the losses of the guides and, last, the task's loss of the head's output: ``(M + 1, 1, 2)``.

        Each as its sum over samples, and their number.
        """
        guides = {m: self._loss_count(self._raw_losses[m], p) for m, p in self._predictions.items()}
        fitted = self.guided.task.fit(self.guided.model, self.output, self.batch)
        fused = self._loss_count(self.guided.task.loss(self.guided.model, fitted, self.batch), self.output)
        return torch.cat([self._stacked(guides), fused.unsqueeze(0)])

    @torch.no_grad()
    def fused_counts(self) -> Tensor:
        """Return the score of the head's output as counts ``(K, 2)``."""
        fitted = self.guided.task.fit(self.guided.model, self.output, self.batch)
        return self.guided.task.counts(self.guided.model, fitted, self.batch)

    def check_changeable(self) -> None:
        self._check_changes(self.modalities)

    def samples_with(self, index: int) -> Tensor | None:
        return self.there[self.modalities[index]]

    def present(self) -> Tensor | None:
        return self._present_samples

    @cached_property
    def _present_samples(self) -> Tensor | None:
        known = next((there for there in self.there.values() if there is not None), None)
        if known is None:
            return None
        everyone = torch.ones_like(known)
        return torch.stack([everyone if there is None else there for there in self.there.values()], dim=1)

    def _told(self, changes: Mapping[str, Change]) -> dict[str, Change]:
        """Return changes that know which samples have what, once the model is called."""

        def told(change: Change, x: Tensor) -> Tensor:
            return change_of(change, x, self.present())

        return {modality: partial(told, change) for modality, change in changes.items()}

    def labels(self) -> Tensor:
        return self.guided.task.labels(self.batch)

    def representations(self) -> list[list[Tensor] | None]:
        return self._each(lambda modality: float_tensors(self.found[modality]))

    def vectors(self) -> list[Tensor | None]:
        return self._each(lambda modality: pooled_vector(self.found[modality]))

    def teachers(self) -> list[Tensor | None]:
        args, kwargs = self._arguments
        taught = self.guided.teachers(*args, **kwargs)
        return [pooled_vector(taught[m]) if m in taught else None for m in self.modalities]

    def predictions(self) -> list[Tensor | None]:
        return self._each(lambda modality: in_batch(self._predictions[modality], self.there[modality]))

    @torch.no_grad()
    def confidences(self) -> list[Tensor | None]:
        task, model = self.guided.task, self.guided.model

        def confidences(modality: str) -> Tensor:
            own = task.confidences(model, self._predictions[modality], self._batch_of(modality))
            return in_batch(own, self.there[modality])

        return self._each(confidences)

    def confidences_of(self, output: Tensor) -> Tensor:
        return self.guided.task.confidences(self.guided.model, output, self.batch)

    def class_logits(self, output: Tensor) -> Tensor:
        return self.guided.task.class_logits(self.guided.model, output)

    def shares(self) -> list[Tensor | None] | None:
        found = [float_tensors(self.found[m]) for m in self._present]
        received = [self._changed.get(m, own) for m, own in zip(self._present, found, strict=True)]
        # What a frozen encoder made, or a change replaced, has no graph to ask.
        if not all(x.requires_grad for own in received for x in own) or not self._fuses_affinely(received):
            return None
        parts = affine_shares(self.output, received, found)
        fitted = [self.guided.task.fit(self.guided.model, part, self.batch) for part in parts]
        by_name = dict(zip(self._present, fitted, strict=True))
        return self._each(by_name.__getitem__)

    def adds_up(self) -> bool | None:
        received = [own for modality in self._present if (own := self._graphs(modality))]
        if not received or not self.called_head:
            return None
        try:
            return is_affine(self.output, received)
        except RuntimeError as error:
            if 'double backward' in str(error):  # what a compiled model can't do
                return None
            raise

    def unimodal_losses(self) -> list[Tensor | None]:
        return self._each(lambda modality: self._at_encoders(self._raw_losses[modality], [modality]))

    def at_encoders(self, loss: Tensor) -> Tensor:
        return self._at_encoders(loss, list(self.found))

    def rerun(self, changes: Mapping[int, Change]) -> GuidedPass:
        other = GuidedPass(self.guided)
        args, kwargs = self._arguments
        all_changes = {**self.by_name(changes), **self.guided.fixed_changes()}
        with evaluating(self.guided.model), other.watching(all_changes):
            losses = self.guided.model(*args, **kwargs)
        other._task_loss = self.guided.model.parse_losses(losses)[0]
        return other

    def by_name(self, changes: Mapping[int, Change]) -> dict[str, Change]:
        """Return changes by the name of the modality instead of its index."""
        return {self.modalities[index]: change for index, change in changes.items()}

    @cached_property
    def _inputs(self) -> dict[str, Any]:
        """The representations as the guides see them, without their graphs."""
        return {modality: map_tensors(_leaf, value) for modality, value in self.found.items()}

    def _batch_of(self, modality: str) -> dict[str, Any]:
        """Return the batch of the samples that have a modality, which is what its guide is judged on."""
        return of_samples(self.batch, self.there[modality])

    @cached_property
    def _predictions(self) -> dict[str, Tensor]:
        predictions = {}
        for modality, value in self._inputs.items():
            there = self.there[modality]
            seen = map_tensors(partial(of_samples, there=there), value)
            with naming_guide(modality):
                with naming_misfit(f"The guide of '{modality}'", seen, sequences=FOR_SEQUENCES):
                    output = self.guided.guides[modality](seen)
                predictions[modality] = self.guided.task.fit(
                    self.guided.model, output, self._batch_of(modality)
                )
        return predictions

    @cached_property
    def _raw_losses(self) -> dict[str, Tensor]:
        """The guides' losses, with the graph down to their inputs."""
        losses = {}
        for modality, prediction in self._predictions.items():
            with naming_guide(modality, self._seen_by_guide(modality)):
                batch = self._batch_of(modality)
                losses[modality] = self.guided.task.loss(self.guided.model, prediction, batch)
        return losses

    def _seen_by_guide(self, modality: str) -> str:
        """Return what a message says of what the guide of a modality predicts from."""
        encoder = next(e for e in self.guided.encoders if e.modality == modality)
        return (
            f' It predicts from the {place_of(encoder)}, {describe(self._inputs[modality])}.'
            f'{state_hint(self.guided.model, encoder)}'
        )

    def _zero_where_absent(self, modality: str, tensor: Tensor) -> Tensor:
        return zero_where_absent(tensor, self.there[modality])

    def _keep_head_call(self, head: nn.Module, args: tuple, kwargs: dict[str, Any], output: Tensor) -> None:
        self._head_call = HeadCall(next(iter((*args, *kwargs.values()))), output)

    def _called_head(self) -> HeadCall:
        if len(self.guided.heads.distinct) != 1:
            self._unknown('what one head returned, and there is not one `head`')
        if self._head_call is None:
            raise ValueError(
                'This asks what the last layer of the head was given and returned, but the model uses '
                "the layer's weight without calling it: call the layer, or choose another balancer."
            )
        return self._head_call

    @property
    def _present(self) -> list[str]:
        return [modality for modality in self.modalities if modality in self.found]

    def _fuses_affinely(self, received: Sequence[Sequence[Tensor]]) -> bool:
        """Return whether the head's output is affine in the representations, which the first pass tells."""
        guided = self.guided
        if guided.fuses_affinely is None:
            # What is made of the model's own tensors, such as a mean of calls, never enters fusion.
            enter = all(self._enters(modality) for modality in self._present)
            has_output = len(guided.heads.distinct) == 1 and self.called_head
            guided.fuses_affinely = enter and has_output and is_affine(self.output, received)
            source = "each modality's share of the fused output" if guided.fuses_affinely else 'the guides'
            print_log(f'What the modalities predict is taken from {source}.', 'current')
        return guided.fuses_affinely

    def _enters(self, modality: str) -> bool:
        """Return whether the tensors of a representation are the model's own, and reach what it predicts."""
        own, entered = float_tensors(self.found[modality]), self._entered.get(modality, [])
        is_own = len(own) == len(entered) and all(map(operator.is_, own, entered))
        return is_own and self.guided.reaches.get(modality, True)

    def _kept(self, modality: str, change: Change) -> Change:
        """Return ``change``, which keeps what it makes of the tensors of a representation."""
        made, marked = self._changed.setdefault(modality, []), self._marked.setdefault(modality, [])
        marks = modality not in self.guided.reaches and torch.is_grad_enabled()

        def kept(tensor: Tensor) -> Tensor:
            made.append(change(tensor))
            if not marks:
                return made[-1]
            # What has no graph, such as zeros, gets one, to be found again in that of the prediction.
            has_graph = made[-1].requires_grad
            marked.append(made[-1] if has_graph else made[-1].detach().requires_grad_().clone())
            return marked[-1]

        return kept

    def _graphs(self, modality: str) -> list[Tensor]:
        """Return the tensors with a graph that entered the rest of the model for a modality."""
        entered = self._marked.get(modality) or self._entered.get(modality, [])
        return [tensor for tensor in entered if tensor.requires_grad]

    def _check_changes(self, modalities: Collection[str]) -> None:
        """Raise a ValueError if the representation of one of ``modalities`` is known to reach nothing."""
        guided = self.guided
        for encoder in guided.encoders:
            if guided.reaches.get(encoder.modality) is False and encoder.modality in modalities:
                raise ValueError(unreached_message(guided.model, encoder, self.changers))

    def _each(self, function: Callable[[str], Any]) -> list[Any]:
        return [function(modality) if modality in self.found else None for modality in self.modalities]

    def _stacked(self, counts: Mapping[str, Tensor]) -> Tensor:
        """Return counts by modality as one tensor, zero for those that the batch lacks."""
        if self.missing:
            nothing = torch.zeros_like(next(iter(counts.values())))
            counts = {modality: counts.get(modality, nothing) for modality in self.modalities}
        return torch.stack([counts[modality] for modality in self.modalities])

    @staticmethod
    def _loss_count(loss: Tensor, output: Tensor) -> Tensor:
        loss = loss.float()
        return torch.stack([loss * len(output), loss.new_tensor(len(output))]).unsqueeze(0)

    def _at_encoders(self, loss: Tensor, modalities: list[str]) -> Tensor:
        """Return ``loss`` with the gradient of ``Σ_i ⟨∂loss/∂h_i, h_i⟩``: its own at these encoders alone."""
        leaves = [leaf for modality in modalities for leaf in float_tensors(self._inputs[modality])]
        tensors = [h for modality in modalities for h in float_tensors(self.found[modality])]
        grads = self.gradients(loss, leaves)
        inner = sum_of_present((g * h).sum() for g, h in zip(grads, tensors, strict=True))
        return loss.detach() + inner - inner.detach()


def pooled_vector(representation: Any) -> Tensor:
    """Return ``(N, C)``: the mean over positions of a vector, a sequence, or a pyramid's last feature map.

    Raises:
        ValueError: If it is several tensors that can't be a pyramid.
    """
    if is_padded(representation):
        return pool_tokens(representation, 'mean')
    check_pyramid(representation)
    x = float_tensors(representation)[-1]
    if x.ndim == 3:
        return x.mean(1)
    return x if x.ndim < 3 else x.flatten(2).mean(2)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put ``module`` into evaluation mode inside the context."""
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True


def _keep(seen: GuidedPass, model: nn.Module, args: tuple, kwargs: dict[str, Any]) -> None:
    seen.keep_arguments(model, args, kwargs)


def _by_argument_name(function: Callable, args: tuple, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return what ``function`` is called with, by argument name."""
    signature = inspect.signature(function)
    arguments = dict(signature.bind(*args, **kwargs).arguments)
    for name, parameter in signature.parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            arguments |= arguments.pop(name, {})
    return arguments


def _leaf(tensor: Tensor) -> Tensor:
    """Return ``tensor`` without its graph, such that gradients with respect to it can be asked for."""
    detached = tensor.detach()
    wanted = tensor.is_floating_point() and torch.is_grad_enabled()
    return detached.requires_grad_() if wanted else detached


def _zero(guide: nn.Module) -> Tensor:
    """Return a loss of zero that touches each parameter, so that distributed training does not wait."""
    return sum_of_present(parameter.sum() for parameter in guide.parameters()) * 0

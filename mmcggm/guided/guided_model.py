"""The guided model: any MMEngine model, with a guide for each modality."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModel, ModuleDict
from torch import Tensor, nn

from mmcggm.balancers import Change, GuidedStep, differentiated_once
from mmcggm.registry import MODELS, TASKS
from mmcggm.structures.nested import map_tensors

from .capture import captured
from .encoder_paths import ModalityEncoder, check_disjoint, check_head
from .guided_pass import ModelPass
from .guides import AutoGuide, build_guides, naming_guide
from .tasks import Task
from .teachers import Teachers
from .watching import Call, Judgement, WatchedPass, calls_of, evaluating


@MODELS.register_module()
class GuidedModel(BaseModel):
    """Wraps a model, unchanged, so that a balancer can see its modalities.

    In training, the representation of each modality is read by a forward hook, detached and given to
    the modality's guide. The losses hold the model's own and the guides'; :meth:`take_step` gives the
    balancer what it needs. In prediction the inner model alone runs.

    A modality whose representation doesn't appear in a pass, since the batch lacks it, has no samples in
    it: its guide's loss is zero and its score stays.

    The model is at ``model``, the guides at ``guides.{modality}``.

    Args:
        model: The model or its config.
        encoders: The encoder of each modality; the order of the modalities is this one. An entry is

            - the path of a module in the model, such as ``'backbone.encoders.flair'`` or
              ``'streams.0.layer4'``, whose output is the representation;
            - a list of paths: all are the encoder, the last makes the representation;
            - a dict with ``modules`` (a path or list), ``representation`` (path of the module where the
              representation appears, default the last of ``modules``), ``source`` (``'output'``, default,
              or ``'input'``, of several arguments by position or name) and ``key`` (what to pick there:
              an index, a name, or a list of them for nested ones).
        head: Path of the last layer of the model's head, whose ``weight`` is W.
        task: The task or its config: the guides' loss and score.
        guide: Config of a guide, or a module with a ``last_layer``; each modality gets one of its own.
            Default: :class:`AutoGuide`.
        guides: The same by modality, for those that differ from ``guide``.
        teachers: For balancers that distil: by modality, the checkpoint of a training of this model or its
            inner one, or the training's folder, whose encoder is to teach. They are loaded at the first pass
            in training, and don't go with ``FSDP2Strategy``.

    Raises:
        ValueError: If a path names no module, fewer than two modalities are given, two of them share
            trainable parameters, the head has no trainable ``weight``, or a guide's last layer differs in
            shape from the head's.

    Example:
        >>> model = dict(
        >>>     type='GuidedModel',
        >>>     model=dict(type='MultimodalSegmentor', ...),
        >>>     encoders=dict(flair='backbone.encoders.flair', t1='backbone.encoders.t1'),
        >>>     head='decode_head.conv_seg',
        >>>     task=dict(type='SegmentationTask'))
    """

    def __init__(
        self,
        model: dict | BaseModel,
        encoders: dict[str, str | list[str] | dict],
        head: str,
        task: dict | Task,
        guide: dict | nn.Module | None = None,
        guides: dict[str, dict | nn.Module] | None = None,
        teachers: dict[str, str] | None = None,
    ) -> None:
        model = MODELS.build(model) if isinstance(model, dict) else model
        super().__init__(model.data_preprocessor)
        self.model = model
        self.task = TASKS.build(task) if isinstance(task, dict) else task
        self.encoders = tuple(ModalityEncoder.from_config(*entry) for entry in encoders.items())
        self.head_path = head
        self._check()
        self.guides = ModuleDict(
            build_guides(
                self.model, self.encoders, head, shared=guide or dict(type=AutoGuide), own=guides or {}
            )
        )
        #: What is done to representations in the next pass with ``mode='loss'``, by modality.
        self.changes: Mapping[str, Change] = {}
        #: The same in the other modes.
        self.prediction_changes: Mapping[str, Change] = {}
        #: Whether whoever trains knows of balancing; if not, the log warns once.
        self.followed = False
        self._teachers = Teachers(teachers or {}, self.encoders)
        self._step: GuidedStep | None = None
        self._reported_missing: set[str] = set()

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in the order of all that a balancer sees."""
        return tuple(encoder.modality for encoder in self.encoders)

    @property
    def head(self) -> nn.Module:
        """The last layer of the model's head."""
        return self.model.get_submodule(self.head_path)

    def encoder_parameters(self) -> list[list[nn.Parameter]]:
        """Return the trainable parameters of each modality's encoder."""
        return [encoder.parameters(self.model) for encoder in self.encoders]

    def forward(self, *args, mode: str = 'tensor', **kwargs) -> Any:
        """Run the inner model; in ``mode='loss'`` also the guides.

        Returns:
            What the inner model returns. In ``mode='loss'`` its losses and, for each modality,
            ``guide_{modality}.loss``.

        Raises:
            RuntimeError: If no representation appears, or one appears more than once.
        """
        if mode != 'loss':
            if not self.prediction_changes:
                return self.model(*args, mode=mode, **kwargs)
            with captured(self.model, self.encoders, self.prediction_changes):
                return self.model(*args, mode=mode, **kwargs)
        self._teachers.load(self.model)
        self._report_unbalanced()

        def run(
            changes: Mapping[str, Change],
        ) -> tuple[dict[str, Any], dict[str, Tensor], Tensor, Call | None]:
            with (
                captured(self.model, self.encoders, changes) as representations,
                calls_of(self.head) as calls,
            ):
                losses = self.model(*args, mode=mode, **kwargs)
            return representations, losses, self.model.parse_losses(losses)[0], calls[-1] if calls else None

        def rerun(changes: Mapping[str, Change]) -> tuple[Tensor, Call | None]:
            with evaluating(self.model):
                return run(changes)[2:]

        representations, losses, task_loss, head = run(self.changes)
        self._report_missing(representations)
        batch = self._arguments(*args, mode=mode, **kwargs)
        inputs = {modality: map_tensors(_leaf, value) for modality, value in representations.items()}
        predictions, raw_losses = {}, {}
        for modality, value in inputs.items():
            with naming_guide(modality):
                prediction = self.task.fit(self.model, self.guides[modality](value), batch)
                raw_losses[modality] = self.task.loss(self.model, prediction, batch)
            predictions[modality] = prediction
        guide_losses = [
            differentiated_once(raw_losses[modality], guide.parameters())
            if modality in raw_losses
            else _zero(guide)
            for modality, guide in self.guides.items()
        ]

        @torch.no_grad()
        def counts() -> Tensor:
            found = {m: self.task.counts(self.model, p, batch) for m, p in predictions.items()}
            nothing = torch.zeros_like(next(iter(found.values())))
            return torch.stack([found.get(modality, nothing) for modality in self.modalities])

        self._step = GuidedStep(
            task_loss=task_loss,
            guide_losses=guide_losses,
            counts=counts,
            head_weight=self.head.weight,
            guide_weights=[guide.last_layer.weight for guide in self.guides.values()],
            guided_pass=ModelPass(
                self.modalities,
                self.encoder_parameters,
                representations,
                inputs,
                predictions,
                raw_losses,
                fused=(task_loss, head),
                judge=lambda prediction: self.task.confidences(self.model, prediction, batch),
                labels=lambda: self.task.labels(batch),
                run=rerun,
                teach=lambda: self._teachers(*args, mode=mode, **kwargs),
            ),
        )
        names = (f'guide_{modality}.loss' for modality in self.modalities)
        return {**losses, **dict(zip(names, guide_losses, strict=True))}

    @contextmanager
    def watched(self, changes: Mapping[str, Change] | None = None) -> Iterator[WatchedPass]:
        """Watch the one pass of the inner model inside the context, in any mode.

        Args:
            changes: By modality, what is done to its representation on the way into fusion.

        Yields:
            What the end of the context fills.

        Raises:
            RuntimeError: If a representation appears more than once in the context.
        """
        seen = WatchedPass()

        def keep(module: nn.Module, args: tuple, kwargs: dict) -> None:
            seen.batch = self._arguments(*args, **kwargs)

        handle = self.model.register_forward_pre_hook(keep, with_kwargs=True)
        try:
            with captured(self.model, self.encoders, changes) as found, calls_of(self.head) as calls:
                yield seen
        finally:
            handle.remove()
        seen.representations = found
        seen.output = calls[-1].output if calls else None

    @contextmanager
    def judging_guides(self, losses: bool = False) -> Iterator[Judgement]:
        """Judge the guides on the one pass of the inner model inside the context, which stays as it is.

        Args:
            losses: Whether to measure losses, the fused model's as well.

        Yields:
            What the end of the context fills.

        Raises:
            RuntimeError: As :meth:`watched`.
        """
        judged = Judgement()
        with self.watched() as seen:
            yield judged
        for modality, representation in seen.representations.items():
            with naming_guide(modality):
                output = self.guides[modality](representation)
            judged.scores[modality] = self.judge(output, seen.batch)
            if losses:
                judged.losses[modality] = self._judge_loss(output, seen.batch)
        if losses and seen.output is not None:
            judged.fused_loss = self._judge_loss(seen.output, seen.batch)

    def judge(self, output: Tensor, batch: dict[str, Any]) -> Tensor:
        """Return the score of an output, of a guide or the head, as counts ``(K, 2)``, see ``GuidedStep``."""
        return self.task.counts(self.model, self.task.fit(self.model, output, batch), batch)

    def _judge_loss(self, output: Tensor, batch: dict[str, Any]) -> Tensor:
        """Return the task's loss of an output as counts ``(1, 2)``: summed over samples, and their number."""
        loss = self.task.loss(self.model, self.task.fit(self.model, output, batch), batch).float()
        return torch.stack([loss * len(output), loss.new_tensor(len(output))]).unsqueeze(0)

    @property
    def last_step(self) -> GuidedStep | None:
        """The record of the last ``mode='loss'`` pass, or None if it was taken."""
        return self._step

    def take_step(self) -> GuidedStep:
        """Return the record of the last ``mode='loss'`` pass, and forget it.

        Raises:
            RuntimeError: If there was none since the last call.
        """
        if self._step is None:
            raise RuntimeError(
                "GuidedModel has no step to balance: no forward pass with mode='loss' came before."
            )
        step, self._step = self._step, None
        self.followed = True
        return step

    def _check(self) -> None:
        """Raise a ValueError unless the settings fit the model; report frozen encoders."""
        if len(self.encoders) < 2:
            raise ValueError(
                f'`encoders` must name at least two modalities to balance, got {list(self.modalities)}.'
            )
        for encoder in self.encoders:
            encoder.check(self.model)
            if not encoder.parameters(self.model):
                print_log(
                    f"The encoder of '{encoder.modality}' is frozen: only its guide learns.",
                    'current',
                    logging.WARNING,
                )
        check_disjoint(self.model, self.encoders)
        check_head(self.model, self.head_path)
        self.task.check(self.model)

    def _arguments(self, *args, **kwargs) -> dict[str, Any]:
        """Return what the inner model's ``forward`` is called with, by argument name."""
        signature = inspect.signature(self.model.forward)
        arguments = dict(signature.bind(*args, **kwargs).arguments)
        for name, parameter in signature.parameters.items():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                arguments |= arguments.pop(name, {})
        return arguments

    def _report_unbalanced(self) -> None:
        """Say once, in the second training pass, that nobody asked for the step of the first."""
        if self.followed or self._step is None or not (self.training and torch.is_grad_enabled()):
            return
        self.followed = True
        print_log(
            'The GuidedModel trains, but nothing is balanced: `optim_wrapper.type` is none that knows of '
            "balancing. Set `optim_wrapper=dict(type='CGGMOptimWrapper', balancer=dict(type='CGGM'), "
            "optimizer=...)`, or type='CGGMAmpOptimWrapper' for mixed precision (with `mmcggm.` before the "
            "type in another library's `default_scope`); without `balancer` the guides only watch.",
            'current',
            logging.WARNING,
        )

    def _report_missing(self, representations: dict[str, Any]) -> None:
        """Say once of each modality that its representation didn't appear.

        Raises:
            RuntimeError: If none appeared.
        """
        missing = [encoder for encoder in self.encoders if encoder.modality not in representations]
        if len(missing) == len(self.encoders):
            raise RuntimeError(
                f'None of the modules {[e.representation for e in missing]} was called in a forward pass. If '
                'the model uses them by another method than `forward`, name modules that are called, as '
                '`representation` in `encoders`.'
            )
        for encoder in missing:
            if encoder.modality not in self._reported_missing:
                self._reported_missing.add(encoder.modality)
                print_log(
                    f"'{encoder.representation}' was not called in a forward pass, so the batch counts as "
                    f"one without '{encoder.modality}'. If none lacks it, name another `representation`.",
                    'current',
                    logging.WARNING,
                )


def _leaf(tensor: Tensor) -> Tensor:
    """Return ``tensor`` without its graph, such that gradients with respect to it can be asked for."""
    return tensor.detach().requires_grad_(tensor.is_floating_point())


def _zero(guide: nn.Module) -> Tensor:
    """Return a loss of zero that touches each parameter, so that distributed training does not wait."""
    return sum(parameter.sum() for parameter in guide.parameters()) * 0

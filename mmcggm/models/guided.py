"""The guided model: any MMEngine model, with a guide for each modality."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModel, ModuleDict
from torch import Tensor, nn

from mmcggm.balancers import Change, GuidedStep, differentiated_once
from mmcggm.registry import MODELS, TASKS

from .guides import AutoGuide
from .model_pass import ModelPass
from .module_paths import ModalityEncoder, check_disjoint, check_head
from .nested import map_tensors
from .representations import captured
from .tasks import Task

INNER, GUIDES = 'model.', 'guides.'  # prefixes in the state_dict


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
    ) -> None:
        model = MODELS.build(model) if isinstance(model, dict) else model
        super().__init__(model.data_preprocessor)
        self.model = model
        self.task = TASKS.build(task) if isinstance(task, dict) else task
        self.encoders = tuple(ModalityEncoder.from_config(*entry) for entry in encoders.items())
        self.head_path = head
        self._check()
        self.guides = ModuleDict(self._build_guides(guide, guides or {}))
        #: What is done to representations in the next pass with ``mode='loss'``, by modality.
        self.changes: Mapping[str, Change] = {}
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
            return self.model(*args, mode=mode, **kwargs)

        def run(changes: Mapping[str, Change]) -> tuple[dict[str, Any], dict[str, Tensor], Tensor, Tensor]:
            with (
                captured(self.model, self.encoders, changes) as representations,
                _output(self.head) as outputs,
            ):
                losses = self.model(*args, mode=mode, **kwargs)
            return representations, losses, self.model.parse_losses(losses)[0], outputs[-1]

        representations, losses, task_loss, output = run(self.changes)
        self._report_missing(representations)
        batch = self._arguments(*args, mode=mode, **kwargs)
        inputs = {modality: map_tensors(_leaf, value) for modality, value in representations.items()}
        predictions, raw_losses = {}, {}
        for modality, value in inputs.items():
            with _naming(modality):
                prediction = self.guides[modality](value)
            predictions[modality] = self.task.fit(self.model, prediction, batch)
            raw_losses[modality] = self.task.loss(self.model, predictions[modality], batch)
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
                representations,
                inputs,
                predictions,
                raw_losses,
                fused=(task_loss, output),
                judge=lambda prediction: self.task.confidences(self.model, prediction, batch),
                labels=lambda: self.task.labels(batch),
                run=lambda changes: run(changes)[2:],
            ),
        )
        names = (f'guide_{modality}.loss' for modality in self.modalities)
        return {**losses, **dict(zip(names, guide_losses, strict=True))}

    @contextmanager
    def judging_guides(self) -> Iterator[dict[str, Tensor]]:
        """Judge the guides on the one pass of the inner model inside the context, which stays as it is.

        Yields:
            A dict that the end of the context fills: by modality, the score as counts ``(K, 2)``, see
            ``GuidedStep``. It lacks modalities that the batch lacks.

        Raises:
            RuntimeError: If a representation appears more than once in the context.
        """
        batch: dict[str, Any] = {}

        def keep(module: nn.Module, args: tuple, kwargs: dict) -> None:
            batch.update(self._arguments(*args, **kwargs))

        counts: dict[str, Tensor] = {}
        handle = self.model.register_forward_pre_hook(keep, with_kwargs=True)
        try:
            with captured(self.model, self.encoders) as representations:
                yield counts
        finally:
            handle.remove()
        for modality, representation in representations.items():
            with _naming(modality):
                prediction = self.guides[modality](representation)
            prediction = self.task.fit(self.model, prediction, batch)
            counts[modality] = self.task.counts(self.model, prediction, batch)

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

    def _build_guides(
        self, shared: dict | nn.Module | None, own: dict[str, dict | nn.Module]
    ) -> dict[str, nn.Module]:
        unknown = [modality for modality in own if modality not in self.modalities]
        if unknown:
            raise ValueError(f'`guides` names {unknown}, but `encoders` names {list(self.modalities)}.')
        shared = dict(type=AutoGuide) if shared is None else shared
        return {
            e.modality: self._build_guide(e, own[e.modality] if e.modality in own else deepcopy(shared))
            for e in self.encoders
        }

    def _build_guide(self, encoder: ModalityEncoder, guide: dict | nn.Module) -> nn.Module:
        if isinstance(guide, dict):
            kind = MODELS.get(guide['type']) if isinstance(guide['type'], str) else guide['type']
            template = dict(head=self.head, encoder=encoder.last_module(self.model))
            is_auto = isinstance(kind, type) and issubclass(kind, AutoGuide)
            with _naming(encoder.modality):
                guide = MODELS.build(guide, default_args=template if is_auto else None)
        weight = getattr(getattr(guide, 'last_layer', None), 'weight', None)
        if not isinstance(weight, nn.Parameter):
            raise ValueError(
                f"The guide of '{encoder.modality}', a {type(guide).__name__}, needs an attribute "
                '`last_layer`, which has a parameter `weight`.'
            )
        shape, expected = tuple(weight.shape), tuple(self.head.weight.shape)
        if shape != expected:
            raise ValueError(
                f"The last layer of the guide of '{encoder.modality}' has a weight of shape {shape}, but the "
                f"head's ('{self.head_path}') has {expected}; CGGM compares their gradients, so set the "
                "guide's channels to the head's."
            )
        return guide

    def _arguments(self, *args, **kwargs) -> dict[str, Any]:
        """Return what the inner model's ``forward`` is called with, by argument name."""
        signature = inspect.signature(self.model.forward)
        arguments = dict(signature.bind(*args, **kwargs).arguments)
        for name, parameter in signature.parameters.items():
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                arguments |= arguments.pop(name, {})
        return arguments

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


def strip_guides(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Return a checkpoint of the inner model from one of a :class:`GuidedModel`.

    Args:
        checkpoint: What MMEngine's runner saved.

    Returns:
        ``state_dict``, which loads into the plain model, and ``meta`` without the training's config.
        Optimizer, schedules and balancer are left out.

    Raises:
        ValueError: If the checkpoint has no guides.
    """
    state = checkpoint.get('state_dict', {})
    if not any(name.startswith(GUIDES) for name in state):
        raise ValueError('The checkpoint has no guides; it is not that of a GuidedModel.')
    meta = {name: value for name, value in checkpoint.get('meta', {}).items() if name != 'cfg'}
    inner = {name.removeprefix(INNER): value for name, value in state.items() if name.startswith(INNER)}
    return dict(meta=meta, state_dict=inner)


@contextmanager
def _naming(modality: str) -> Iterator[None]:
    """Add the modality to a ValueError of its guide."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"The guide of '{modality}': {error}") from error


@contextmanager
def _output(module: nn.Module) -> Iterator[list[Tensor]]:
    """Collect what ``module`` returns inside the context."""
    outputs: list[Tensor] = []

    def keep(module: nn.Module, args: tuple, output: Tensor) -> None:
        outputs.append(output)

    handle = module.register_forward_hook(keep)
    try:
        yield outputs
    finally:
        handle.remove()


def _leaf(tensor: Tensor) -> Tensor:
    """Return ``tensor`` without its graph, such that gradients with respect to it can be asked for."""
    return tensor.detach().requires_grad_(tensor.is_floating_point())


def _zero(guide: nn.Module) -> Tensor:
    """Return a loss of zero that touches each parameter, so that distributed training does not wait."""
    return sum(parameter.sum() for parameter in guide.parameters()) * 0

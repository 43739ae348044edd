"""The guided model: any MMEngine model, with a guide for each modality."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.model import BaseModel, ModuleDict
from torch import nn

from mmcggm.balancers import Change
from mmcggm.registry import MODELS, TASKS
from mmcggm.utils.warn import warn

from .checkpoints import names_in_guided
from .encoder_paths import ModalityEncoder, check_disjoint, find_module
from .encoder_weights import load_encoder
from .guided_pass import GuidedPass
from .guides import AutoGuide, build_guides
from .heads import Heads
from .tasks import Task
from .teachers import Teachers


@MODELS.register_module()
class GuidedModel(BaseModel):
    """Wraps a model, unchanged, so that a balancer can see its modalities.

    In training, the representation of each modality is read by a forward hook, detached and given to
    the modality's guide. The losses hold the model's own and the guides'; :meth:`take_pass` gives the
    balancer what it needs. In prediction the inner model alone runs.

    A modality whose representation doesn't appear in a pass, since the batch lacks it, has no samples in
    it: its guide's loss is zero and its score stays. So it is if no sample has it, as ``present`` tells.

    The model is at ``model``, the guides at ``guides.{modality}``.

    Args:
        model: The model or its config.
        encoders: The encoder of each modality; the order of the modalities is this one. An entry is

            - the path of a module in the model, such as ``'backbone.encoders.flair'`` or
              ``'streams.0.layer4'``, whose output is the representation;
            - a list of paths: all are the encoder, the last makes the representation;
            - a dict with ``modules`` (a path or list), ``representation`` (path of the module where the
              representation appears, default the last of ``modules``), ``source`` (``'output'``, default,
              or ``'input'``, of several arguments by position or name), ``key`` (what to pick there:
              an index, a name, a list of them for nested ones, such as ``[1, -1]`` for the last state of a
              GRU, whose last index is one of a tensor's first axis, or a function) and ``calls`` (``'once'``,
              default, or ``'mean'`` of the calls of a module that is called several times in a pass).

            Or the path of a module, such as ``'backbone.encoders'``, whose children are the encoders, by
            modality.
        head: Path of the last layer of the model's head, whose ``weight`` is W.
        task: The task or its config: the guides' loss and score.
        guide: Config of a guide, or a module with a ``last_layer``; each modality gets one of its own.
            Default: :class:`AutoGuide`.
        guides: The same by modality, for those that differ from ``guide``.
        teachers: For balancers that distil: by modality, the checkpoint of a training of this model or its
            inner one, or the training's folder, whose encoder is to teach. They are loaded at the first pass
            in training, and don't go with ``FSDP2Strategy``.
        pretrained: By modality, the checkpoint or training's folder, as of ``teachers``, whose encoder the
            training begins with. They are loaded as a training begins, not for a test.
        freeze: Whether the encoders of ``pretrained`` stay as they are, in evaluation mode.
        only: The one modality that reaches fusion, in training and in prediction: the representations of the
            others are zero. It tells what a modality can reach alone. (The other encoders get no gradient;
            with several processes the config needs ``find_unused_parameters = True``.)
        present: Path in a batch, as ``'data_samples.present'``, where it says by modality which samples have
            it: of each data sample a dict of bools, or a dict of tensors ``(N,)``. Where a sample lacks a
            modality, its representation is zero, and its guide is neither trained nor judged on it; tensors
            ``(N, ...)`` and lists of N in the batch are then those of the samples. Default: all have all.
        data_preprocessor: What MMEngine's runners hand to the model out of the top level of a config, where
            mmpretrain and mmseg have it. As without guides, it is for a model's config that has none.

    Weights of the inner model alone, under their names there, load as well, whoever loads them; the guides
    then stay as they are.

    Raises:
        ValueError: If a path names no module, fewer than two modalities are given, two of them share
            trainable parameters, the head has no trainable ``weight``, a guide's last layer differs in
            shape from the head's, or ``only`` names no modality.

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
        encoders: dict[str, str | list[str] | dict] | str,
        head: str,
        task: dict | Task,
        guide: dict | nn.Module | None = None,
        guides: dict[str, dict | nn.Module] | None = None,
        teachers: dict[str, str] | None = None,
        pretrained: dict[str, str] | None = None,
        freeze: bool = False,
        only: str | None = None,
        present: str | None = None,
        data_preprocessor: dict | nn.Module | None = None,
    ) -> None:
        if isinstance(model, dict):
            given = {} if data_preprocessor is None else dict(data_preprocessor=data_preprocessor)
            model = MODELS.build({**given, **model})
        super().__init__(model.data_preprocessor)
        self.model = model
        self.task = TASKS.build(task) if isinstance(task, dict) else task
        if isinstance(encoders, str):
            children = find_module(model, encoders, 'encoders').named_children()
            encoders = {modality: f'{encoders}.{modality}' for modality, _ in children}
        self.encoders = tuple(ModalityEncoder.from_config(*entry) for entry in encoders.items())
        self.head_path = head
        self.heads = Heads.from_config(head, self.modalities)
        self.only = only
        self.present = present
        self.pretrained = pretrained or {}
        self.frozen = self._frozen(freeze)
        self._check()
        self.guides = ModuleDict(
            build_guides(
                self.model, self.encoders, self.heads, shared=guide or dict(type=AutoGuide), own=guides or {}
            )
        )
        self.teachers = Teachers(teachers or {}, self.encoders)
        self.fuses_affinely: bool | None = None
        self.reaches: dict[str, bool] = {}
        self._changes: Mapping[str, Change] = {}
        self._pass: GuidedPass | None = None
        self._warned_unbalanced = False
        self._reported_missing: set[str] = set()

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in the order of all that a balancer sees."""
        return tuple(encoder.modality for encoder in self.encoders)

    @property
    def head(self) -> nn.Module:
        """The last layer of the model's head."""
        return self.model.get_submodule(self.head_path)

    @property
    def out_channels(self) -> int:
        """Channels of the inner model's logits, which mmseg's test-time augmentation asks for."""
        return self.model.out_channels

    def init_weights(self) -> None:
        """Initialise the weights, and load those of ``pretrained``.

        Raises:
            FileNotFoundError: If there is no checkpoint.
            ValueError: If a checkpoint is more than data, damaged, or has not the weights of its encoder.
        """
        super().init_weights()
        for encoder in self.encoders:
            if encoder.modality in self.pretrained:
                load_encoder(self.model, encoder, self.pretrained[encoder.modality], 'pretrained')

    def train(self, mode: bool = True) -> GuidedModel:
        """Set training mode; frozen encoders stay in evaluation mode."""
        super().train(mode)
        for module in self.frozen:
            module.eval()
        return self

    def encoder_parameters(self) -> list[list[nn.Parameter]]:
        """Return the trainable parameters of each modality's encoder."""
        return [encoder.parameters(self.model) for encoder in self.encoders]

    def forward(self, *args: Any, mode: str = 'tensor', **kwargs: Any) -> Any:
        """Run the inner model; in ``mode='loss'`` also the guides.

        Returns:
            What the inner model returns. In ``mode='loss'`` its losses and, for each modality,
            ``guide_{modality}.loss``.

        Raises:
            RuntimeError: If in ``mode='loss'`` no representation appears, or one appears more than once.
            ValueError: If ``present`` does not fit the batch.
        """
        changes = {**self._changes, **self.fixed_changes()}
        if mode != 'loss' and not changes and self.present is None:
            return self.model(*args, mode=mode, **kwargs)
        seen = GuidedPass(self)
        if mode != 'loss':
            with seen.changing(changes):
                return self.model(*args, mode=mode, **kwargs)
        self.teachers.load(self.model)
        self._report_unbalanced()
        with seen.watching(changes):
            output = self.model(*args, mode=mode, **kwargs)
        seen.report_missing(self._reported_missing)
        self._pass = seen
        return seen.set_losses(output)

    @contextmanager
    def changing(self, changes: Mapping[int, Change]) -> Iterator[None]:
        """Change representations on their way into fusion, by index of the modality, inside the context."""
        self._changes = {self.modalities[index]: change for index, change in changes.items()}
        try:
            yield
        finally:
            self._changes = {}

    @contextmanager
    def watch(self, changes: Mapping[int, Change] | None = None) -> Iterator[GuidedPass]:
        """Watch the one pass of the inner model inside the context, in any mode.

        Args:
            changes: By index of the modality, what is done to its representation on the way into fusion.

        Yields:
            The pass, which tells what it showed once the context has ended.

        Raises:
            RuntimeError: If a representation appears more than once in the context.
        """
        seen = GuidedPass(self)
        with seen.watching(seen.by_name(changes or {})):
            yield seen

    @property
    def last_pass(self) -> GuidedPass | None:
        """The record of the last ``mode='loss'`` pass, or None if it was taken."""
        return self._pass

    def take_pass(self) -> GuidedPass:
        """Return the record of the last ``mode='loss'`` pass, and forget it.

        Raises:
            RuntimeError: If there was none since the last call.
        """
        if self._pass is None:
            raise RuntimeError(
                "GuidedModel has no pass to balance: no forward pass with mode='loss' came before."
            )
        seen, self._pass = self._pass, None
        return seen

    def fixed_changes(self) -> dict[str, Change]:
        """Return what is done to representations in every pass, by modality: what ``only`` asks for."""
        others = [] if self.only is None else [name for name in self.modalities if name != self.only]
        return dict.fromkeys(others, torch.zeros_like)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        """Load weights; those of an inner model alone get the names that they have in this one."""
        inside = OrderedDict(
            (n.removeprefix(prefix), v) for n, v in state_dict.items() if n.startswith(prefix)
        )
        versions = getattr(state_dict, '_metadata', {})  # of modules; the loader reads on in this dict
        inside._metadata = versions  # type: ignore[attr-defined]
        named = names_in_guided(self, inside)
        if named is not inside:
            for name in inside:
                del state_dict[prefix + name]
            state_dict.update({prefix + name: value for name, value in named.items()})
            versions.update(named._metadata)  # type: ignore[attr-defined]
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _check(self) -> None:
        """Raise a ValueError unless the settings fit the model; report frozen encoders."""
        if len(self.encoders) < 2:
            raise ValueError(
                f'`encoders` must name at least two modalities to balance, got {list(self.modalities)}.'
            )
        if self.only is not None and self.only not in self.modalities:
            raise ValueError(
                f'`model.only` must be one of the names in `model.encoders`, {list(self.modalities)}, '
                f"got '{self.only}'."
            )
        for encoder in self.encoders:
            encoder.check(self.model)
            if not encoder.parameters(self.model):
                warn(f"The encoder of '{encoder.modality}' is frozen: only its guide learns.")
        check_disjoint(self.model, self.encoders)
        self.heads.check(self.model, self.encoders)
        self.task.check(self.model)

    def _frozen(self, freeze: bool) -> tuple[nn.Module, ...]:
        """Freeze the encoders of ``pretrained``, if asked to, and return their modules."""
        names = [encoder.modality for encoder in self.encoders]
        unknown = [modality for modality in self.pretrained if modality not in names]
        if unknown:
            raise ValueError(f'`pretrained` names {unknown}, but `encoders` names {names}.')
        if not freeze:
            return ()
        if not self.pretrained:
            raise ValueError('`freeze` keeps the encoders of `pretrained` as they are, but that names none.')
        chosen = [encoder for encoder in self.encoders if encoder.modality in self.pretrained]
        return tuple(
            find_module(self.model, path, f'encoders.{encoder.modality}').requires_grad_(False)
            for encoder in chosen
            for path in encoder.modules
        )

    def _report_unbalanced(self) -> None:
        """Say once, in the second training pass, that nobody took the first."""
        if self._warned_unbalanced or self._pass is None or not (self.training and torch.is_grad_enabled()):
            return
        self._warned_unbalanced = True
        warn(
            'The GuidedModel trains, but nothing is balanced: `optim_wrapper.type` is none that knows of '
            "balancing. Set `optim_wrapper=dict(type='BalancedOptimWrapper', balancer=dict(type='CGGM'), "
            "optimizer=...)`, or type='BalancedAmpOptimWrapper' for mixed precision (with `mmcggm.` before "
            "the type in another library's `default_scope`); without `balancer` the guides only watch."
        )

"""The guided model: any MMEngine model, with a guide for each modality."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

import torch
from mmengine.model import BaseModel, ModuleDict
from torch import Tensor, nn

from mmcggm.balancers import GuidedStep
from mmcggm.registry import MODELS, TASKS

from .guides import Guide
from .tasks import Task


@MODELS.register_module()
class GuidedModel(BaseModel):
    """Wraps a model, unchanged, so that a balancer can see its modalities.

    In training, the representation of each modality is read from its encoder's output by a forward
    hook, detached and given to the modality's guide. The losses hold the model's own and the guides';
    :meth:`take_step` gives the balancer what it needs. In prediction the inner model alone runs.

    The model is at ``model``, the guides at ``guides.{modality}``.

    Args:
        model: The model or its config.
        encoders: Path of each modality's encoder in the model, for example
            ``{'flair': 'backbone.encoders.flair'}``. The order of the modalities is this one.
        head: Path of the last layer of the model's head, whose ``weight`` is W.
        guide: Config of a guide; each modality gets one of its own.
        task: Config of the task: the guides' loss and score.
        guides: Configs of guides by modality, for those that differ from ``guide``.

    Raises:
        ValueError: If a path names no module, fewer than two modalities are given, a modality has
            no guide, or a guide's last layer differs in shape from the head's.

    Example:
        >>> model = dict(
        >>>     type='GuidedModel',
        >>>     model=dict(type='MultimodalSegmentor', ...),
        >>>     encoders=dict(flair='backbone.encoders.flair', t1='backbone.encoders.t1'),
        >>>     head='decode_head.conv_seg',
        >>>     guide=dict(type='DecodeHeadGuide', head=dict(...)),
        >>>     task=dict(type='SegmentationTask'))
    """

    def __init__(
        self,
        model: dict | BaseModel,
        encoders: dict[str, str],
        head: str,
        task: dict | Task,
        guide: dict | None = None,
        guides: dict[str, dict | Guide] | None = None,
    ) -> None:
        model = MODELS.build(model) if isinstance(model, dict) else model
        super().__init__(model.data_preprocessor)
        self.model = model
        self.task = TASKS.build(task) if isinstance(task, dict) else task
        if len(encoders) < 2:
            raise ValueError(
                f'`encoders` must name at least two modalities to balance, got {list(encoders)}.'
            )
        for modality, path in encoders.items():
            _check_path(model, path, f'encoders.{modality}')
        _check_path(model, head, 'head')
        self.encoder_paths = dict(encoders)
        self.head_path = head
        self.guides = ModuleDict(self._build_guides(guide, guides or {}))
        self._step: GuidedStep | None = None

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in the order of all that a balancer sees."""
        return tuple(self.encoder_paths)

    @property
    def head(self) -> nn.Module:
        """The last layer of the model's head."""
        return self.model.get_submodule(self.head_path)

    def encoder_parameters(self) -> list[list[nn.Parameter]]:
        """Return the trainable parameters of each modality's encoder."""
        return [
            [p for p in self.model.get_submodule(path).parameters() if p.requires_grad]
            for path in self.encoder_paths.values()
        ]

    def forward(self, *args, mode: str = 'tensor', **kwargs) -> Any:
        """Run the inner model; in ``mode='loss'`` also the guides.

        Returns:
            What the inner model returns. In ``mode='loss'`` its losses and, for each modality,
            ``guide_{modality}.loss``.
        """
        if mode != 'loss':
            return self.model(*args, mode=mode, **kwargs)
        with self._representations() as representations:
            losses = self.model(*args, mode=mode, **kwargs)
        task_loss, _ = self.model.parse_losses(losses)
        batch = inspect.signature(self.model.forward).bind(*args, **kwargs).arguments
        guide_losses, counts = [], []
        for modality, guide in self.guides.items():
            prediction = guide(_detach(representations[modality]))
            guide_losses.append(self.task.loss(self.model, prediction, batch))
            with torch.no_grad():
                counts.append(self.task.counts(self.model, prediction, batch))
        self._step = GuidedStep(
            task_loss=task_loss,
            guide_losses=guide_losses,
            counts=torch.stack(counts),
            head_weight=self.head.weight,
            guide_weights=[guide.last_layer.weight for guide in self.guides.values()],
        )
        names = (f'guide_{modality}.loss' for modality in self.modalities)
        return {**losses, **dict(zip(names, guide_losses, strict=True))}

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

    def _build_guides(self, shared: dict | None, own: dict[str, dict | Guide]) -> dict[str, Guide]:
        unknown = [modality for modality in own if modality not in self.encoder_paths]
        if unknown:
            raise ValueError(f'`guides` names {unknown}, but `encoders` names {list(self.encoder_paths)}.')
        guides = {}
        for modality in self.encoder_paths:
            guide = own.get(modality, shared)
            if guide is None:
                raise ValueError(f"No guide for '{modality}': give `guide`, or an entry in `guides`.")
            guides[modality] = guide = MODELS.build(guide) if isinstance(guide, dict) else guide
            shape, expected = tuple(guide.last_layer.weight.shape), tuple(self.head.weight.shape)
            if shape != expected:
                raise ValueError(
                    f"The last layer of the guide of '{modality}' has a weight of shape {shape}, but the "
                    f"head's ('{self.head_path}') has {expected}; CGGM compares their gradients, so set the "
                    "guide's channels to the head's."
                )
        return guides

    @contextmanager
    def _representations(self) -> Iterator[dict[str, Any]]:
        """Collect the encoders' outputs of one forward pass."""
        outputs: dict[str, Any] = {}

        def keep(modality: str):
            def hook(module: nn.Module, args: tuple, output: Any) -> None:
                outputs[modality] = output

            return hook

        handles = [
            self.model.get_submodule(path).register_forward_hook(keep(modality))
            for modality, path in self.encoder_paths.items()
        ]
        try:
            yield outputs
        finally:
            for handle in handles:
                handle.remove()


def _check_path(model: nn.Module, path: str, key: str) -> None:
    """Raise a ValueError that names the closest paths unless ``path`` is a module of ``model``."""
    names = [name for name, _ in model.named_modules() if name]
    if path not in names:
        close = get_close_matches(path, names, n=3, cutoff=0.4)
        hint = f' Did you mean {" or ".join(repr(name) for name in close)}?' if close else ''
        raise ValueError(f"`{key}`: {type(model).__name__} has no module '{path}'.{hint}")


def _detach(representation: Any) -> Any:
    """Detach every tensor of a representation: a tensor, or a sequence or dict of them."""
    if isinstance(representation, Tensor):
        return representation.detach()
    if isinstance(representation, dict):
        return {key: _detach(value) for key, value in representation.items()}
    if isinstance(representation, (list, tuple)):
        return type(representation)(_detach(value) for value in representation)
    return representation

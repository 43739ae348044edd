"""Guides: small networks that predict the task from one modality's representation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, cast

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmcggm.registry import MODELS
from mmcggm.structures.nested import check_pyramid, describe
from mmcggm.structures.sequences import is_padded, pool_tokens

from .encoder_paths import ModalityEncoder
from .heads import Heads


class Guide(BaseModule):
    """A guide of one modality; the paper calls it a classifier.

    It sees the representation detached, so it learns from the encoder without moving it.
    """

    @property
    @abstractmethod
    def last_layer(self) -> nn.Module:
        """The layer whose ``weight`` has the shape of the head's last layer's."""

    @abstractmethod
    def forward(self, representation: Any) -> Tensor:
        """Return a prediction in the form of the head's logits."""


@MODELS.register_module()
class AutoGuide(Guide):
    """A guide made from the head's last layer, for any representation.

    A projection to the width of the head's input, where widths differ; ``depth`` hidden layers with
    ReLU; a new layer like the head's last. For a ``Linear`` head the representation is pooled to
    ``(N, C)`` first: feature maps ``(N, C, *)`` by their mean, sequences, also ``(tokens, padding)`` with
    padding ``(N, L)``, by ``pool``. For a
    convolutional head it stays a map, and hidden layers have kernels of width 3.

    Args:
        head: The last layer of the model's head, ``Linear`` or ``Conv1d`` to ``Conv3d``, as a template.
            ``GuidedModel`` gives it.
        encoder: The module that makes the representation; its last layer tells ``in_channels``.
            ``GuidedModel`` gives it.
        in_channels: Channels C of the representation. Default: those of ``example``, or else of the encoder's
            last layer.
        depth: Number of hidden layers. Zero makes a linear guide.
        level: Which level of a pyramid (a tuple or list) is used.
        layout: Axes of a sequence: ``'NLC'``, ``'NCL'`` or ``'LNC'``, for batch N, positions L and
            channels C.
        pool: What is taken from a sequence: ``'mean'``, ``'first'`` or ``'last'`` position that counts.
        example: A representation. ``mmcggm.balance`` gives it, where it has a sample.
        init_cfg: Initialisation.

    Raises:
        ValueError: If an argument is out of its range or ``in_channels`` can't be told.
        TypeError: If the head is no layer of these kinds.
    """

    def __init__(
        self,
        head: nn.Module,
        encoder: nn.Module | None = None,
        in_channels: int | None = None,
        depth: int = 1,
        level: int = -1,
        layout: str = 'NLC',
        pool: str = 'mean',
        example: Any = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        for name, value, known in (
            ('layout', layout, ('NLC', 'NCL', 'LNC')),
            ('pool', pool, ('mean', 'first', 'last')),
        ):
            if value not in known:
                raise ValueError(f'AutoGuide needs `{name}` in {known}, got {value!r}.')
        if depth < 0:
            raise ValueError(f'AutoGuide needs `depth` >= 0, got {depth}.')
        self.recurrent = isinstance(encoder, nn.RNNBase)
        self.level = level
        self.layout = layout
        self.pool = pool
        hidden: Callable[..., nn.Module]
        if isinstance(head, nn.Linear):
            self.dims, width, hidden = 0, head.in_features, nn.Linear
        elif isinstance(head, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            self.dims, width = head.weight.ndim - 2, head.in_channels
            hidden = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[self.dims - 1]
        else:
            raise TypeError(
                f"AutoGuide needs a head whose last layer is Linear or Conv1d to Conv3d, but it's a "
                f'{type(head).__name__}: give a guide of your own.'
            )
        if in_channels is None and example is not None:
            in_channels = self._selected(example).shape[1]
        self.in_channels = output_width(encoder) if in_channels is None else in_channels
        if self.in_channels is None:
            raise ValueError(
                "AutoGuide can't tell the channels of the representation from the encoder "
                f'({type(encoder).__name__}): set its `in_channels`.'
            )
        kernel: dict[str, Any] = {} if self.dims == 0 else dict(kernel_size=3, padding=1)
        point: dict[str, Any] = {} if self.dims == 0 else dict(kernel_size=1)
        layers: list[nn.Module] = []
        if self.in_channels != width:
            layers.append(hidden(self.in_channels, width, **point))
        for _ in range(depth):
            layers += [hidden(width, width, **kernel), nn.ReLU()]
        self.layers = nn.Sequential(*layers, _anew(head))

    @property
    def last_layer(self) -> nn.Module:
        return self.layers[-1]

    def forward(self, representation: Any) -> Tensor:
        """Return logits like the head's: ``(N, K)``, or ``(N, K, *)`` for a convolutional head.

        Raises:
            ValueError: If the representation doesn't fit; it says what to set.
        """
        x = self._selected(representation)
        if x.shape[1] != self.in_channels:
            raise ValueError(
                f'the representation has {x.shape[1]} channels, but the guide was built for '
                f"{self.in_channels}: set the guide's `in_channels={x.shape[1]}`, or its `layout` if another "
                f'axis of {describe(representation)} holds the channels.'
            )
        return self.layers(x)

    def _selected(self, representation: Any) -> Tensor:
        """Return what the layers take of a representation: ``(N, C)``, or maps ``(N, C, *)``."""
        x, padding = representation if is_padded(representation) else (representation, None)
        self._check_pyramid(x)
        if isinstance(x, (list, tuple)) and -len(x) <= self.level < len(x):
            x = x[self.level]
        if not isinstance(x, Tensor):
            raise ValueError(
                f'the representation is {describe(representation)}, not a tensor or a pyramid of tensors '
                f"with a level {self.level}: pick a part of it with the encoder's `key`."
            )
        x = self._pooled(x, padding) if self.dims == 0 else x
        if x.ndim != self.dims + 2:
            raise ValueError(
                f"the representation is {describe(x)}, but the head's last layer takes {self.dims + 2} axes: "
                'name another `representation`, or give a guide of your own.'
            )
        return x

    def _check_pyramid(self, x: Any) -> None:
        if self.recurrent and isinstance(x, (list, tuple)):
            raise ValueError(
                f'the representation is {describe(x)}, outputs and states of a recurrent layer: pick the '
                "outputs with the encoder's `key=0` or, if the model reads that, the last state with "
                '`key=[1, -1]` (of an LSTM `key=[1, 0, -1]`).'
            )
        sequences = self.dims == 0 and isinstance(x, (list, tuple)) and all(map(_is_sequence, x))
        check_pyramid(x, self.layout.index('N') if sequences else 0)

    def _pooled(self, x: Tensor, padding: Tensor | None) -> Tensor:
        """Return ``(N, C)`` of a vector, a sequence or a feature map."""
        if x.ndim > 3:
            return x.flatten(2).mean(2)
        if x.ndim < 3:
            return x
        return pool_tokens((x.permute(*(self.layout.index(axis) for axis in 'NLC')), padding), self.pool)


@MODELS.register_module()
class DecodeHeadGuide(Guide):
    """A segmentation guide: any decode head of ``mmseg``'s kind on the encoder's feature maps.

    Args:
        head: Config of the decode head. Its losses are not used: the task's are.
        init_cfg: Initialisation.
    """

    def __init__(self, head: dict, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        # Never evaluated; without it the head looks for its default loss in this project's registry.
        self.head = MODELS.build({'loss_decode': dict(type='mmseg.CrossEntropyLoss'), **head})

    @property
    def last_layer(self) -> nn.Module:
        return self.head.conv_seg

    def forward(self, representation: tuple[Tensor, ...]) -> Tensor:
        """Return logits ``(N, num_classes, H', W')`` for a pyramid of feature maps."""
        return self.head(representation)


def build_guides(
    model: nn.Module,
    encoders: Sequence[ModalityEncoder],
    heads: Heads,
    shared: dict | nn.Module,
    own: Mapping[str, dict | nn.Module],
    examples: Mapping[str, Any] | None = None,
) -> dict[str, nn.Module]:
    """Return a guide for each modality.

    Args:
        model: The model that is guided.
        encoders: Of its modalities.
        heads: The last layers of its heads.
        shared: Config of a guide, or a guide, of which each modality gets one of its own.
        own: The same by modality, for those that differ.
        examples: By modality, a representation, for guides that are made to fit.

    Raises:
        ValueError: If ``own`` names no modality, or a guide's last layer differs in shape from the head's.
    """
    modalities = [encoder.modality for encoder in encoders]
    unknown = [modality for modality in own if modality not in modalities]
    if unknown:
        raise ValueError(f'`guides` names {unknown}, but `encoders` names {modalities}.')
    built = {}
    for encoder in encoders:
        name = encoder.modality
        guide, path = own[name] if name in own else deepcopy(shared), heads.paths.get(name)
        if isinstance(guide, dict):
            template = dict(encoder=encoder.last_module(model))
            if path is not None:
                template['head'] = model.get_submodule(path)
            if examples is not None and name in examples:
                template['example'] = examples[name]
            guide = _from_config(guide, name, template)
        if path is not None:
            _check_last_layer(guide, name, model, path)
        built[name] = guide
    return built


def _from_config(config: dict, modality: str, template: dict[str, Any]) -> nn.Module:
    kind = MODELS.get(config['type']) if isinstance(config['type'], str) else config['type']
    if not (isinstance(kind, type) and issubclass(kind, AutoGuide)):
        return cast(nn.Module, MODELS.build(config))
    with naming_guide(modality):
        if 'head' not in config and 'head' not in template:
            raise ValueError(
                'without a `head` of the model nothing tells what it predicts: give a layer like the last '
                "one of the guide, `guide=dict(type='AutoGuide', head=torch.nn.Linear(64, 10))`."
            )
        return cast(nn.Module, MODELS.build(config, default_args=template))


def _check_last_layer(guide: nn.Module, modality: str, model: nn.Module, head_path: str) -> None:
    """Raise a ValueError unless the guide's last layer has a weight like the head's."""
    weight = getattr(getattr(guide, 'last_layer', None), 'weight', None)
    if not isinstance(weight, nn.Parameter):
        raise ValueError(
            f"The guide of '{modality}', a {type(guide).__name__}, needs an attribute "
            '`last_layer`, which has a parameter `weight`.'
        )
    shape, expected = tuple(weight.shape), tuple(cast(Tensor, model.get_submodule(head_path).weight).shape)
    if shape != expected:
        raise ValueError(
            f"The last layer of the guide of '{modality}' has a weight of shape {shape}, but the "
            f"head's ('{head_path}') has {expected}; CGGM compares their gradients, so set the "
            "guide's channels to the head's."
        )


@contextmanager
def naming_guide(modality: str, further: str = '') -> Iterator[None]:
    """Add the modality to a ValueError of its guide, and at the end ``further``."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"The guide of '{modality}': {error}{further}") from error


def _anew(layer: nn.Module) -> nn.Module:
    """Return a layer like ``layer``, Linear or a convolution, with weights of its own that are parameters."""
    if isinstance(layer.weight, nn.Parameter):
        new = deepcopy(layer).requires_grad_(True)
        cast(nn.Linear, new).reset_parameters()
        return new
    # Its weight is computed, as by weight norm; the guide's is not, so that its gradient can be compared.
    bias = layer.bias is not None
    if isinstance(layer, nn.Linear):
        return nn.Linear(layer.in_features, layer.out_features, bias)
    kind: Any = next(kind for kind in (nn.Conv1d, nn.Conv2d, nn.Conv3d) if isinstance(layer, kind))
    names = ('in_channels', 'out_channels', 'kernel_size', 'stride', 'padding', 'dilation', 'groups')
    return kind(**{name: getattr(layer, name) for name in (*names, 'padding_mode')}, bias=bias)


def _is_sequence(value: Any) -> bool:
    return isinstance(value, Tensor) and value.ndim == 3


def output_width(encoder: nn.Module | None) -> int | None:
    """Return the output channels of the last layer of ``encoder`` that has any, or None."""
    for module in reversed(list(encoder.modules()) if encoder is not None else []):
        if isinstance(module, nn.RNNBase):
            return (module.proj_size or module.hidden_size) * (2 if module.bidirectional else 1)
        if isinstance(module, nn.LayerNorm):
            return module.normalized_shape[-1]
        for name in ('out_features', 'out_channels', 'num_features'):
            if isinstance(width := getattr(module, name, None), int):
                return width
    return None

"""A whole network of MONAI as a decode head."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmcggm.models.encoders.unet3d import EXTRA
from mmcggm.registry import MODELS
from mmcggm.utils import import_optional
from mmcggm.utils.spelling import did_you_mean

from .volume import VolumeHead


@MODELS.register_module()
class MonaiNetworkHead(VolumeHead):
    """A network of ``monai.networks.nets`` that takes all modalities as channels, with the losses of a head.

    Its backbone is a :class:`StackedModalities`. There is no encoder a modality, so nothing to balance: it is
    a baseline.

    Args:
        network: Config of the network; ``type`` is the class's name in ``monai.networks.nets``, such as
            ``'SegResNet'``. ``spatial_dims``, ``in_channels`` and ``out_channels`` are given to it.
        in_channels: Channels of all modalities together.
        **kwargs: Of :class:`VolumeHead`.

    Raises:
        ImportError: If MONAI is not installed.
        ValueError: If it has no such network, or one that does not take these settings.
    """

    def __init__(self, network: Mapping[str, Any], in_channels: int, **kwargs) -> None:
        super().__init__(channels=1, in_channels=in_channels, in_index=0, init_cfg=None, **kwargs)
        del self.conv_seg  # the network has a classifier of its own
        nets = import_optional('monai.networks.nets', extra=EXTRA)
        settings = dict(network)
        name = settings.pop('type', None)
        known = {key: value for key, value in vars(nets).items() if _is_network(value)}
        if name not in known:
            raise ValueError(
                f"`decode_head.network.type`: monai.networks.nets has no '{name}'."
                f'{did_you_mean(str(name), known)}'
            )
        try:
            self.network = known[name](
                spatial_dims=3, in_channels=in_channels, out_channels=self.out_channels, **settings
            )
        except TypeError as error:  # arguments that it lacks or does not take
            raise ValueError(f'`decode_head.network`: {error}.') from error

    def forward(self, inputs: tuple[Tensor]) -> Tensor:
        """Return logits ``(N, num_classes, D, H, W)`` of volumes ``(N, in_channels, D, H, W)``."""
        return self.network(self._transform_inputs(inputs))

    def check_size(self, size: Sequence[int]) -> None:
        """Raise a ValueError unless the network makes one tensor of logits of patches of ``size`` (D, H, W).

        It is asked on PyTorch's meta device, which computes shapes alone.
        """
        name, was_training = type(self.network).__name__, self.network.training
        state = {**dict(self.network.named_parameters()), **dict(self.network.named_buffers())}
        state = {key: torch.empty_like(value, device='meta') for key, value in state.items()}
        patches = torch.empty(2, self.in_channels, *size, device='meta')
        wanted = (2, self.out_channels, *size)
        for training in (True, False):  # deep supervision returns more in training
            try:
                logits = torch.func.functional_call(self.network.train(training), state, patches)
            except NotImplementedError:  # an operator that the meta device does not know, which tells nothing
                continue
            except (RuntimeError, ValueError, AssertionError) as error:
                raise ValueError(
                    f'`decode_head.network`: {name} cannot take patches of {tuple(size)}. Most networks '
                    'halve their sides several times: change `patch_size`, of the pipeline and of '
                    f'`test_cfg`. {error}'
                ) from error
            finally:
                self.network.train(was_training)
            made = tuple(logits.shape) if isinstance(logits, Tensor) else f'a {type(logits).__name__}'
            if made != wanted:
                raise ValueError(
                    f'`decode_head.network`: {name} must return one tensor of logits, {wanted} of two '
                    f'patches of {tuple(size)}, but {"in training " * training}it returns {made}. Turn off '
                    'its deep supervision, or take another network.'
                )


def _is_network(value: Any) -> bool:
    return inspect.isclass(value) and issubclass(value, nn.Module)

"""A model of several modalities with one prediction a sample, for regression and classification."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from mmcggm.registry import MODELS
from mmcggm.structures.sequences import Sequences, padding_mask

# What losses of PyTorch take as targets; others may take anything.
LOSSES: dict[tuple[type[nn.Module], ...], tuple[str, ...]] = {
    (nn.CrossEntropyLoss, nn.NLLLoss, nn.MultiMarginLoss): ('class',),
    (nn.BCEWithLogitsLoss, nn.MultiLabelSoftMarginLoss): ('multilabel',),
    (nn.L1Loss, nn.MSELoss, nn.SmoothL1Loss, nn.HuberLoss): ('regression',),
}
WEIGHTS = ('weight', 'pos_weight')  # of the outputs, which losses take as tensors


@MODELS.register_module()
class MultimodalPredictor(BaseModel):
    """A multimodal backbone and a linear head, the paper's model of CMU-MOSI, IEMOCAP and Food-101.

    The head is at ``head``, encoders at ``backbone.encoders.{modality}``.

    Args:
        backbone: Config of a :class:`MultimodalBackbone` whose fusion returns vectors ``(N, dim)``.
        dim: Channels of the fused representation.
        outputs: Targets of a regression, or number of classes.
        head: Config of another head, for example ``dict(type='CosineHead', widths=(64, 32))``: a module
            that is given ``in_features=dim`` and ``out_features=outputs``.
        loss: Config of the loss, a module of predictions ``(N, outputs)`` and labels, for example
            ``dict(type='torch.nn.CrossEntropyLoss', weight=[1.0, 4.0])``; lists of numbers become tensors.
        mask_padding: Whether padding is hidden from encoders and fusion. If not, ``lengths`` are ignored,
            as the published code does, and padding counts as tokens.
        data_preprocessor: Config of the data preprocessor.
        init_cfg: Initialisation.

    Raises:
        ValueError: If ``dim`` isn't that of the fusion, or the loss has not a weight for each output.
    """

    def __init__(
        self,
        backbone: dict,
        dim: int = 40,
        outputs: int = 1,
        head: dict = dict(type='torch.nn.Linear'),
        loss: dict = dict(type='torch.nn.L1Loss'),
        mask_padding: bool = True,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.backbone = MODELS.build(backbone)
        fused = getattr(self.backbone.fusion, 'dim', dim)
        if fused != dim:
            raise ValueError(f'`dim` is {dim}, but `backbone.fusion.dim` is {fused}: set both to one number.')
        self.head = MODELS.build({**head, 'in_features': dim, 'out_features': outputs})
        self.criterion = _build_loss(loss, outputs)
        self.mask_padding = mask_padding

    def forward(
        self,
        inputs: dict[str, Tensor],
        labels: Tensor | None = None,
        lengths: dict[str, Tensor] | None = None,
        mode: str = 'tensor',
    ) -> Tensor | dict[str, Tensor] | list[BaseDataElement]:
        """Predict, or judge a prediction.

        Args:
            inputs: ``{modality: (N, ...)}``, for example sequences ``(N, L_i, C_i)`` or images
                ``(N, C_i, H, W)``.
            labels: Targets ``(N, outputs)``, or ``(N,)`` if there is one output; or class indices ``(N,)``.
            lengths: ``{modality: (N,)}``, integers, for sequences that are padded at the end: tokens
                from ``lengths[n]`` on do not count. At least the first token does. The encoder of such a
                modality gets ``(tokens, padding)`` with padding ``(N, L_i)``, bool; that of any other
                its input as it is.
            mode: ``'tensor'``, ``'loss'`` or ``'predict'``.

        Returns:
            ``'tensor'``: predictions ``(N, outputs)``. ``'loss'``: ``{'loss': scalar}``. ``'predict'``:
            an element a sample, with ``prediction`` ``(outputs,)`` and, where given, ``label``.

        Raises:
            ValueError: If ``lengths`` names a modality that ``inputs`` lacks, or ``mode`` is unknown.
        """
        prediction = self.head(self.backbone(self._with_padding(inputs, lengths or {})))
        if mode == 'tensor':
            return prediction
        if mode == 'loss':
            if prediction.shape == (*labels.shape, 1):
                labels = labels.unsqueeze(-1).to(prediction)  # or the loss would broadcast
            return dict(loss=self.criterion(prediction, labels))
        if mode == 'predict':
            samples = [BaseDataElement(prediction=p) for p in prediction]
            if labels is not None:
                for sample, label in zip(samples, labels, strict=True):
                    sample.label = label
            return samples
        raise ValueError(f"`mode` must be 'tensor', 'loss' or 'predict', got '{mode}'.")

    def check_data(self, metainfo: Mapping[str, Any]) -> None:
        """Raise a ValueError that names the setting, unless the model fits data that are described.

        Args:
            metainfo: Of the data set. ``channels``, C by modality; ``classes``, their names; ``target``,
                what is predicted, and ``outputs``, how many numbers that takes. What isn't there isn't
                checked.
        """
        channels = metainfo.get('channels', {})
        lacking = [modality for modality in self.backbone.encoders if channels and modality not in channels]
        if lacking:
            raise ValueError(
                f'The model has the modalities {list(self.backbone.encoders)}, but the data hold '
                f'{list(channels)}: add {lacking} to `inputs` of the data sets, or take them out of the '
                'model (`backbone.modalities`, `in_channels`, `encoders`).'
            )
        unused = [modality for modality in channels if modality not in self.backbone.encoders]
        if unused:
            print_log(
                f'The data hold {unused}, for which the model has no encoder: it does not use them. To use '
                'them, add them to the model (`backbone.in_channels`, `encoders`); otherwise take them out '
                'of `inputs` of the data sets, so that they are not read.',
                'current',
                logging.WARNING,
            )
        for modality, width in self.backbone.in_channels.items():
            found = channels.get(modality)
            if None not in (width, found) and width != found:
                raise ValueError(
                    f"'{modality}' of the data has {found} channels, but its encoder was built for {width}: "
                    f'set `backbone.in_channels.{modality}` (or `in_channels` of its encoder) to {found}.'
                )
        outputs = self.head.out_features if hasattr(self.head, 'out_features') else None
        needed = metainfo.get('outputs', len(metainfo['classes']) if 'classes' in metainfo else None)
        if None not in (outputs, needed) and outputs != needed:
            what = 'classes' if 'classes' in metainfo else 'targets'
            raise ValueError(
                f'The model has `outputs={outputs}`, but the data have {needed} {what}: set `outputs` of '
                f'the model, and of its guides, to {needed}.'
            )
        target, loss = metainfo.get('target'), type(self.criterion)
        fits = next((kinds for losses, kinds in LOSSES.items() if issubclass(loss, losses)), None)
        if target is not None and fits is not None and target not in fits:
            raise ValueError(
                f"`loss` is {loss.__name__}, which is for target='{fits[0]}', but the data set has "
                f"target='{target}': set the one or the other."
            )

    def _with_padding(self, inputs: dict[str, Tensor], lengths: dict[str, Tensor]) -> dict[str, Sequences]:
        unknown = [modality for modality in lengths if modality not in inputs]
        if unknown:
            raise ValueError(f'`lengths` names {unknown}, but the batch holds {list(inputs)}.')
        if not self.mask_padding:
            return inputs
        padding = {m: padding_mask(lengths[m], inputs[m].shape[1]) for m in lengths}
        return {m: (x, padding[m]) if m in padding else x for m, x in inputs.items()}


def _build_loss(loss: dict, outputs: int) -> nn.Module:
    weights = {name: loss[name] for name in WEIGHTS if isinstance(loss.get(name), (list, tuple))}
    for name, values in weights.items():
        if len(values) != outputs:
            raise ValueError(
                f'`loss.{name}` has {len(values)} entries for `outputs={outputs}`: give one for each output.'
            )
    return MODELS.build({**loss, **{name: torch.tensor(values) for name, values in weights.items()}})

"""A model of multimodal sequences, for regression and classification."""

from __future__ import annotations

from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from mmcggm.registry import MODELS

from .encoders.sequence import padding_mask


@MODELS.register_module()
class SequenceModel(BaseModel):
    """A multimodal backbone on sequences and a linear head, the paper's model of CMU-MOSI.

    The head is at ``head``, encoders at ``backbone.encoders.{modality}``.

    Args:
        backbone: Config of a :class:`MultimodalBackbone` with :class:`SequenceEncoder` and
            :class:`TransformerFusion`.
        dim: Channels of the fused representation.
        outputs: Targets of a regression, or number of classes.
        loss: Config of the loss, a module of predictions ``(N, outputs)`` and labels, for example
            ``dict(type='torch.nn.CrossEntropyLoss')``.
        data_preprocessor: Config of the data preprocessor.
        init_cfg: Initialisation.
    """

    def __init__(
        self,
        backbone: dict,
        dim: int = 40,
        outputs: int = 1,
        loss: dict = dict(type='torch.nn.L1Loss'),
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(data_preprocessor, init_cfg)
        self.backbone = MODELS.build(backbone)
        self.head = nn.Linear(dim, outputs)
        self.criterion = MODELS.build(loss)

    def forward(
        self,
        inputs: dict[str, Tensor],
        labels: Tensor | None = None,
        lengths: dict[str, Tensor] | None = None,
        mode: str = 'tensor',
    ) -> Tensor | dict[str, Tensor] | list[BaseDataElement]:
        """Predict, or judge a prediction.

        Args:
            inputs: ``{modality: (N, L_i, C_i)}``; the lengths ``L_i`` may differ.
            labels: Targets ``(N, outputs)``, or ``(N,)`` if there is one output; or class indices ``(N,)``.
            lengths: ``{modality: (N,)}``, integers, for modalities that are padded at the end: tokens
                from ``lengths[n]`` on do not count. At least the first token does.
            mode: ``'tensor'``, ``'loss'`` or ``'predict'``.

        Returns:
            ``'tensor'``: predictions ``(N, outputs)``. ``'loss'``: ``{'loss': scalar}``. ``'predict'``:
            an element a sample, with ``prediction`` ``(outputs,)`` and, where given, ``label``.

        Raises:
            ValueError: If ``lengths`` names a modality that ``inputs`` lacks, or ``mode`` is unknown.
        """
        lengths = lengths or {}
        unknown = [modality for modality in lengths if modality not in inputs]
        if unknown:
            raise ValueError(f'`lengths` names {unknown}, but the batch holds {list(inputs)}.')
        sequences = {
            modality: (x, padding_mask(lengths[modality], x.shape[1]) if modality in lengths else None)
            for modality, x in inputs.items()
        }
        prediction = self.head(self.backbone(sequences))
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

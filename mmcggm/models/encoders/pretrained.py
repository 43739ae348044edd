"""Encoders on pretrained transformers: ViT for images, BERT for text."""

from __future__ import annotations

from pathlib import Path

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from mmcggm.registry import MODELS
from mmcggm.structures.sequences import Sequences, split_padding
from mmcggm.utils.pretrained import load_pretrained

from .sequence import SequenceEncoder


class PretrainedTransformer(nn.Module):
    """A transformer of the transformers library, from a local folder; its last hidden states.

    While frozen it has no gradients and stays in evaluation mode.

    On the meta device only the structure is built, where the folder is absent that of ``source``.

    Args:
        path: Folder with ``config.json`` and the weights.
        config: Instead of ``path``: settings of the structure that differ from those of ``source``,
            for random weights.
        frozen: Whether training leaves it as it is.

    Raises:
        FileNotFoundError: If there is no such folder; it says what to download.
        ValueError: If both or none of ``path`` and ``config`` are given, or the folder lacks weights.
    """

    # Not a BaseModule: MMEngine's initialisation would reach into the loaded model.

    source: str
    model_type: str

    def __init__(self, path: str | None = None, config: dict | None = None, frozen: bool = True) -> None:
        super().__init__()
        if (path is None) == (config is None):
            raise ValueError(
                f'{type(self).__name__} needs either `path` or `config`, got {path=}, {config=}.'
            )
        from transformers import AutoConfig, AutoModel

        on_meta = torch.empty(0).is_meta  # what get_default_device() tells only in newer torch
        if path is None or (on_meta and not Path(path).is_dir()):
            self.model = AutoModel.from_config(AutoConfig.for_model(self.model_type, **(config or {})))
        elif on_meta:
            self.model = AutoModel.from_config(load_pretrained('AutoConfig', path, self.source))
        else:
            self.model = self._load(path)
        if getattr(self.model, 'pooler', None) is not None:
            self.model.pooler = None  # not used, so it would get no gradient
        self.frozen = frozen
        if frozen:
            self.requires_grad_(False)
        self.train()

    @property
    def channels(self) -> int:
        """Channels of the tokens."""
        return self.model.config.hidden_size

    def train(self, mode: bool = True) -> PretrainedTransformer:
        return super().train(mode and not self.frozen)

    def _load(self, path: str) -> nn.Module:
        model, found = load_pretrained('AutoModel', path, self.source, output_loading_info=True)
        missing = sorted(name for name in found['missing_keys'] if 'pooler' not in name.split('.'))
        if missing:
            raise ValueError(
                f"The weights in '{path}' lack {missing[:3]}{' and more' * (len(missing) > 3)} of its "
                f'{type(model).__name__}. Download the files of https://huggingface.co/{self.source} again.'
            )
        print_log(f"{type(model).__name__} loaded from '{path}'.", 'current')
        return model.float()

    def _hidden_states(self, **inputs: Tensor | None) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return self.model(**inputs).last_hidden_state


@MODELS.register_module()
class ViTImageEncoder(PretrainedTransformer):
    """A vision transformer (ViT, Dosovitskiy et al., ICLR 2021, arXiv 2010.11929; DeiT, DINOv2, ...).

    Args:
        **kwargs: Of :class:`PretrainedTransformer`: ``path`` or ``config``, and ``frozen``.
    """

    source = 'google/vit-base-patch16-224'
    model_type = 'vit'

    def forward(self, images: Tensor) -> Tensor:
        """Return tokens ``(N, 1 + patches, channels)``, the class token first, for ``(N, 3, H, W)``."""
        return self._hidden_states(pixel_values=images)


@MODELS.register_module()
class BertTextEncoder(PretrainedTransformer):
    """A text transformer (BERT, Devlin et al., NAACL 2019, arXiv 1810.04805; RoBERTa, MiniLM, ...).

    Args:
        **kwargs: Of :class:`PretrainedTransformer`: ``path`` or ``config``, and ``frozen``.
    """

    source = 'google-bert/bert-base-uncased'
    model_type = 'bert'

    def forward(self, sequences: Sequences) -> Sequences:
        """Return tokens ``(N, L, channels)`` for ids ``(N, L)``, int64, with padding if it was given."""
        ids, padding = split_padding(sequences)
        mask = None if padding is None else (~padding).long()
        tokens = self._hidden_states(input_ids=ids, attention_mask=mask)
        return tokens if padding is None else (tokens, padding)


@MODELS.register_module()
class PretrainedSequenceEncoder(SequenceEncoder):
    """A :class:`SequenceEncoder` on the tokens of a pretrained transformer.

    Args:
        backbone: Config of a :class:`ViTImageEncoder` or :class:`BertTextEncoder`. To train it as well,
            set its ``frozen=False``.
        mask_padding: Whether padding stays hidden after the backbone, which always sees it. If not, its
            tokens count, as in the published code.
        **kwargs: Of :class:`SequenceEncoder`, except ``in_channels``.
    """

    def __init__(self, backbone: dict, mask_padding: bool = True, **kwargs) -> None:
        built = MODELS.build(backbone)
        super().__init__(in_channels=built.channels, **kwargs)
        self.backbone = built
        self.mask_padding = mask_padding

    def forward(self, inputs: Sequences) -> Sequences:
        """Return tokens ``(N, L, dim)`` for what the backbone takes, with padding if it is kept."""
        features = self.backbone(inputs)
        return super().forward(features if self.mask_padding else split_padding(features)[0])

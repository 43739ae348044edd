"""A model, ready to predict."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import DefaultScope
from torch import nn

from mmcggm.engine.kept_config import kept_config
from mmcggm.engine.settings import read_config
from mmcggm.guided import load_weights
from mmcggm.registry import MODELS
from mmcggm.utils.checkpoints import read_checkpoint


def init_model(
    config: str | Path | Config | None,
    checkpoint: str | Path | None,
    device: str | None = None,
    options: Mapping[str, Any] | None = None,
    trust: bool = False,
) -> nn.Module:
    """Build a model, give it the weights of a checkpoint, and bring it to a device to predict.

    Args:
        config: Path of the config, or the config itself. None: the config of the training, which the
            checkpoint keeps and which is read as data (see :mod:`mmcggm.engine.kept_config`).
        checkpoint: Path of the checkpoint, or its name as MMEngine knows it. None: initial weights.
        device: Such as ``'cuda:0'`` or ``'cpu'``. Default: an accelerator if there is one.
        options: Overrides of the config's settings, nested keys with dots.
        trust: Whether a checkpoint may hold more than data, and so run any code.

    Returns:
        The model in evaluation mode. Its attribute ``cfg`` is the config, and ``dataset_meta`` is what the
        checkpoint says about the data set, such as ``classes``.

    Raises:
        FileNotFoundError: If the config or the checkpoint does not exist.
        CheckpointError: If the checkpoint holds more than data, or does not fit the model.
        ValueError: If neither is given, or a setting is wrong.
    """
    if config is None and checkpoint is None:
        raise ValueError('Give a config, or a checkpoint that keeps one.')
    loaded: dict[str, Any] = {}
    if checkpoint is not None:
        loaded = read_checkpoint(checkpoint, trust=trust)
    cfg = _config(config, loaded, checkpoint, options, trust)
    with in_scope(cfg):
        model = MODELS.build(cfg.model)
    if checkpoint is not None:
        load_weights(model, loaded, str(checkpoint))
    meta = loaded.get('meta')
    known = meta.get('dataset_meta') if isinstance(meta, dict) else None
    model.cfg = cfg
    model.dataset_meta = known if isinstance(known, dict) else {}
    return model.to(device or get_device()).eval()


def read_inference_config(
    config: str | Path | Config | None,
    checkpoint: str | Path,
    options: Mapping[str, Any] | None = None,
    trust: bool = False,
) -> Config:
    """Return the config with which :func:`init_model` would build the model."""
    loaded = read_checkpoint(checkpoint, trust=trust, lazily=True) if config is None else {}
    return _config(config, loaded, checkpoint, options, trust)


def _config(
    config: str | Path | Config | None,
    loaded: Mapping[str, Any],
    checkpoint: str | Path | None,
    options: Mapping[str, Any] | None,
    trust: bool,
) -> Config:
    if config is not None and not isinstance(config, Config):
        return read_config(config, options)
    cfg = copy.deepcopy(config) if config is not None else kept_config(loaded, str(checkpoint), trust)
    cfg.merge_from_dict(dict(options or {}))
    return cfg


def in_scope(cfg: Config) -> Any:
    """Return a context in which the components that ``cfg`` names are found."""
    return DefaultScope.overwrite_default_scope(cfg.get('default_scope') or 'mmcggm')


def tested_data(cfg: Config) -> dict[str, Any]:
    """Return the settings of the data set that the config tests with; none if it names none."""
    loader = cfg.get('test_dataloader') or {}
    return dict(loader.get('dataset') or {})

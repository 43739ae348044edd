"""MMEngine's loaders of checkpoints, by how the name begins, all of which read data only.

MMEngine's own try the same, with ``getattr`` allowed, and where that fails run whatever the file holds. They
are replaced where MMEngine looks them up, so that it holds for all that loads by MMEngine: ``load_from``,
``resume``, ``init_cfg``, teachers, hooks, and other tools than this project's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlsplit

import torch
from mmengine.dist import barrier, is_main_process
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import get_external_models, get_torchvision_models

from .reading import CheckpointError, read_checkpoint

_trusted = False


def trust_checkpoints() -> None:
    """From now on, let this process run the code that checkpoints hold."""
    global _trusted
    _trusted = True


def checkpoints_are_trusted() -> bool:
    """Say whether this process runs the code that checkpoints hold."""
    return _trusted


def load_from_local(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Read a file, see :func:`read_checkpoint`."""
    return read_checkpoint(filename, map_location, trust=_trusted)


def load_from_http(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Download a file, unless PyTorch's cache has it, and read it.

    Raises:
        CheckpointError: If it can't be downloaded, or is not data.
    """
    file = Path(torch.hub.get_dir(), 'checkpoints', Path(urlsplit(filename).path).name)
    if is_main_process() and not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(filename, str(file))
        except URLError as error:
            raise CheckpointError(
                f"'{filename}' can't be downloaded ({error}). Download it elsewhere and name the file."
            ) from error
    barrier()
    return load_from_local(str(file), map_location)


def load_from_torchvision(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Read weights of torchvision by the model's name, as in ``torchvision://resnet50``."""
    return _load_by_name(filename, get_torchvision_models(), map_location)


def load_from_openmmlab(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Read weights of OpenMMLab by the model's name, as in ``open-mmlab://resnet50_caffe``."""
    return _load_by_name(filename, get_external_models(), map_location)


def load_from_elsewhere(filename: str, map_location: Any = None) -> dict[str, Any]:
    """Refuse a place out of which nothing is loaded as data."""
    raise CheckpointError(
        f"'{filename}' is not loaded from there. Copy it to this machine and name the file."
    )


def _load_by_name(filename: str, urls: dict[str, str], map_location: Any) -> dict[str, Any]:
    name = filename.partition('://')[2]
    if name not in urls:
        raise CheckpointError(f"'{filename}': there are no weights of that name.")
    return CheckpointLoader.load_checkpoint(urls[name], map_location)


CheckpointLoader.register_scheme('', load_from_local, force=True)
CheckpointLoader.register_scheme(('http://', 'https://'), load_from_http, force=True)
CheckpointLoader.register_scheme(('torchvision://', 'modelzoo://'), load_from_torchvision, force=True)
CheckpointLoader.register_scheme(('open-mmlab://', 'openmmlab://'), load_from_openmmlab, force=True)
CheckpointLoader.register_scheme(
    ('mmcls://', 'pavi://', r'(\S+\:)?s3://', r'(\S+\:)?petrel://'), load_from_elsewhere, force=True
)

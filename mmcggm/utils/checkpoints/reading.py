"""Checkpoints from files."""

from __future__ import annotations

import os
import pickle
import re
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from mmcggm.utils.file_kind import no_content
from mmcggm.utils.spelling import close_to, one_of

from .stand_ins import NotDataError, plain, stand_ins

ASKED_FOR = re.compile(r'GLOBAL (\S+)')  # how PyTorch names what it refuses
AGAIN = 'Copy or download it again, or take an earlier one.'


class CheckpointError(ValueError):
    """A checkpoint that is not loaded; the message names the file, what is wrong and what to do."""


def read_checkpoint(
    path: str | os.PathLike[str], map_location: Any = 'cpu', trust: bool = False, lazily: bool = False
) -> dict[str, Any]:
    """Read a checkpoint of PyTorch or MMEngine as data: none of its code runs.

    Tensors, numpy's arrays and numbers, plain containers and MMEngine's states are read, and files of
    safetensors. Where the file has checksums, which all that ``torch.save`` writes today have, they are
    checked. MMEngine would run the entry ``meta['config']`` (of its forerunners, for the number of their
    GPUs) as Python when it resumes: it is left out.

    Args:
        path: The file.
        map_location: As of ``torch.load``.
        trust: Read anything, also what can't be read without running the code that the file holds.
        lazily: Leave the tensors on the disk, and their checksums unchecked: :func:`check_archive` does that.

    Returns:
        What was saved; a dict, of which ``state_dict`` or the whole is the weights.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If the file asks for more than data (it says for what), is damaged, or is no
            checkpoint.
    """
    content = read_data(path, map_location, trust, lazily)
    if not isinstance(content, dict):
        raise CheckpointError(
            f"'{path}' holds a {type(content).__name__}, not a checkpoint. Save a model's `state_dict()`."
        )
    if isinstance(content.get('meta'), dict):
        content['meta'].pop('config', None)
    return content


def read_data(
    path: str | os.PathLike[str], map_location: Any = 'cpu', trust: bool = False, lazily: bool = False
) -> Any:
    """Read anything that ``torch.save`` wrote, or a file of safetensors, as :func:`read_checkpoint` does.

    Raises:
        FileNotFoundError: If there is no such file.
        CheckpointError: If the file asks for more than data, or is damaged.
    """
    path = os.path.expanduser(path)
    _check_kind(path)
    try:
        with open(path, 'rb') as file:
            if file.read(4) == b'PK\x03\x04':
                if not lazily:
                    check_archive(path)
            elif not trust and tarfile.is_tarfile(path):
                raise NotDataError('what PyTorch before 0.1.10 wrote (a tar archive)')
        return _read(path, map_location, trust, lazily)
    except (CheckpointError, MemoryError, torch.OutOfMemoryError):
        raise
    except NotDataError as error:
        raise CheckpointError(
            f"'{path}' is not loaded: it asks for {error}, which is more than weights and plain data, and "
            'code may run with it. If you trust its maker with this machine, load it with --trust (in '
            'Python, `trust=True`): it may then run anything. If you do not, delete it.'
        ) from None
    except Exception as error:  # a malformed file raises whatever its garbage leads to
        reason = f'{type(error).__name__}: {_reason(error)}'
        raise CheckpointError(f"'{path}' is not a whole checkpoint of PyTorch ({reason}). {AGAIN}") from error


def weights_of(checkpoint: Mapping[str, Any], source: str) -> Mapping[str, Tensor]:
    """Return the weights in a checkpoint: its ``state_dict``, its ``model``, or all that it holds.

    Args:
        checkpoint: What was read.
        source: Name of the file, for the message.

    Raises:
        CheckpointError: If that is not tensors by name.
    """
    for state in (checkpoint.get('state_dict'), checkpoint.get('model'), checkpoint):
        if isinstance(state, dict) and state and all(_is_weight(*entry) for entry in state.items()):
            return state
    shown = ', '.join(f'`{name}`' for name in list(checkpoint)[:6]) or 'nothing'
    raise CheckpointError(
        f"'{source}' holds no weights where they are looked for: neither `state_dict` or `model` in it nor "
        f'the whole is tensors by name. It holds {shown}.'
    )


def _is_weight(name: Any, value: Any) -> bool:
    return isinstance(name, str) and (isinstance(value, Tensor) or name.endswith('_extra_state'))


def _checkpoints_like(path: Path) -> list[str]:
    """Return up to three checkpoints beside ``path`` or in ``work_dirs`` that are called nearly so."""
    there = {file.as_posix() for file in (*path.parent.glob('*.pth'), *Path('work_dirs').rglob('*.pth'))}
    return close_to(path.as_posix(), sorted(there))


def _check_kind(path: str) -> None:
    """Raise an error unless ``path`` is a file that may be a checkpoint."""
    if os.path.isdir(path):
        raise CheckpointError(f"'{path}' is a folder. Name a checkpoint in it.")
    if not os.path.exists(path):
        hint = one_of(_checkpoints_like(Path(path)))
        raise FileNotFoundError(f"There is no checkpoint '{path}'.{hint}")
    what = no_content(path)
    if what is not None:
        raise CheckpointError(f"'{path}' {what}")


def check_archive(path: str | os.PathLike[str]) -> None:
    """Raise a :class:`CheckpointError` unless an archive is whole, and holds data rather than a program.

    PyTorch does not compare the checksums.
    """
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        if any(entry.filename.endswith('/constants.pkl') for entry in entries):
            raise CheckpointError(
                f"'{path}' is a TorchScript program, not a checkpoint. Save the `state_dict()` of its model."
            )
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise CheckpointError(f"'{path}' is a compressed archive, not a checkpoint. Unpack it first.")
        has_checksums = any(entry.CRC for entry in entries)  # they can be switched off
        if has_checksums and (damaged := archive.testzip()) is not None:
            raise CheckpointError(
                f"'{path}' is damaged: '{damaged}' in it differs from its checksum. {AGAIN}"
            )


def _read(path: str, map_location: Any, trust: bool, lazily: bool) -> Any:
    if path.endswith('.safetensors'):
        return load_file(path, 'cpu' if map_location is None else str(map_location))
    if trust:
        return torch.load(path, map_location=map_location, weights_only=False)
    with stand_ins():
        try:
            return plain(torch.load(path, map_location=map_location, weights_only=True, mmap=lazily))
        except pickle.UnpicklingError as error:
            asked = ASKED_FOR.search(str(error))
            if asked is None:
                raise
            raise NotDataError(f"'{asked[1]}'") from None


def _reason(error: Exception) -> str:
    """Return the first line of a message, without PyTorch's advice to load anyway."""
    text = str(error).rpartition('WeightsUnpickler error: ')[2]
    return next(iter(text.splitlines()), '').strip().rstrip('.') or 'it ends too early'

"""Pretrained models of Hugging Face from local folders, never from the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def load_pretrained(kind: str, path: str | Path, source: str, **kwargs: Any) -> Any:
    """Load a part of a pretrained model with transformers.

    Args:
        kind: An auto class of transformers: ``'AutoModel'``, ``'AutoConfig'`` or ``'AutoTokenizer'``.
        path: The folder.
        source: Name of the model at https://huggingface.co, for the message where there is no folder.
        **kwargs: Of its ``from_pretrained``.

    Raises:
        FileNotFoundError: If there is no folder; it says what to download.
        ValueError: If the folder's files can't be read or are not such a part.
    """
    import transformers
    from safetensors import SafetensorError

    if not Path(path).is_dir():
        raise FileNotFoundError(
            f"No pretrained model in '{path}': download the files of https://huggingface.co/{source} "
            f'(config.json, model.safetensors and, of a text model, the tokenizer) into that folder, for '
            f'example with `hf download {source} --local-dir {path}`.'
        )
    try:
        # Code that a folder brings is not run.
        safe = dict(local_files_only=True, trust_remote_code=False)
        return getattr(transformers, kind).from_pretrained(str(path), **safe, **kwargs)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ValueError(
            f"'{path}' does not hold what {kind} of transformers can load ({error}). "
            f'Download the files of https://huggingface.co/{source} into it again.'
        ) from error

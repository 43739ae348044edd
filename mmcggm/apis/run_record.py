"""What a folder of results was made with and from, so that a later call knows what is there."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mmcggm.utils.atomic import replacing

NAME = 'inference.json'


class RunRecord:
    """The file ``inference.json`` in a folder of results; written anew, whole, whenever a result is added.

    Nothing is written before :meth:`begin`.

    Args:
        folder: The folder, which exists.
        settings: What all results depend on, JSON-able.
        overwrite: Whether results that were made with other settings, or by others, may be replaced.
        targets: Names of the files that will be written.

    Raises:
        ValueError: If the folder holds results that were made with other settings, or targets of which
            nothing tells how they were made.
    """

    def __init__(
        self, folder: Path, settings: Mapping[str, Any], overwrite: bool, targets: Iterable[str]
    ) -> None:
        self.path = folder / NAME
        self.settings = dict(settings)
        self.done: dict[str, dict[str, Any]] = {}
        if not overwrite and self.path.exists():
            self.done = self._read()
        elif not overwrite:
            there = next((name for name in targets if (folder / name).exists()), None)
            if there is not None:
                raise ValueError(
                    f"'{folder / there}' is there, and nothing tells what it was made with: name another "
                    'folder with --out, or replace it with --overwrite.'
                )

    def is_done(self, name: str, source: Any) -> bool:
        """Whether a result was made from what ``source``, a fingerprint, describes."""
        return name in self.done and self.done[name]['source'] == source

    def begin(self) -> None:
        """Write the settings, before the first result is: who is stopped then knows what it was made with."""
        self._write()

    def add(self, name: str, source: Any, **facts: Any) -> None:
        """Note that a result is there, what it was made from, and further facts on it."""
        self.done[name] = dict(source=source, **facts)
        self._write()

    def _read(self) -> dict[str, dict[str, Any]]:
        try:
            content = json.loads(self.path.read_text(encoding='utf-8'))
            settings = dict(content['settings'])
            done = {name: {**entry, 'source': entry['source']} for name, entry in content['done'].items()}
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"'{self.path}' is damaged ({error!r}): name another folder with --out, or replace what is "
                'there with --overwrite.'
            ) from error
        differing = [key for key, value in self.settings.items() if settings.get(key) != value]
        if differing and done:
            raise ValueError(
                f"'{self.path.parent}' holds results that were made with another "
                f'{" and another ".join(differing)}: name another folder with --out, or '
                'replace them with --overwrite.'
            )
        return done

    def _write(self) -> None:
        with replacing(self.path) as temporary:
            content = dict(settings=self.settings, done=self.done)
            temporary.write_text(json.dumps(content, indent=1) + '\n', encoding='utf-8')


def settings_of(checkpoints: Sequence[str | Path], cfg: Mapping[str, Any]) -> dict[str, Any]:
    """Return what tells a model and its input from others: digests of the weights and of the config."""
    from hashlib import sha256

    from mmcggm.utils.file_hash import hash_file

    text = json.dumps([cfg.get('model'), cfg.get('test_dataloader')], default=str, sort_keys=True)
    weights = [hash_file(Path(checkpoint)) for checkpoint in checkpoints]
    return dict(
        checkpoint=weights[0] if len(weights) == 1 else weights, config=sha256(text.encode()).hexdigest()
    )

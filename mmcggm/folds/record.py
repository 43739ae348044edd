"""What a cross-validation is of, in its folder: who goes on with it must ask for the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmcggm.datasets.brats.splits import SPLITS, read_splits
from mmcggm.utils.atomic import replacing

FILE = 'folds.json'
ABSENT = 'absent'
SETTINGS = 'settings'
TAKE_ANOTHER = 'Take another --work-dir for what is new.'


def keep_record(
    work_dir: Path, asked: Mapping[str, Any], splits: Mapping[Path, str], has_begun: bool
) -> None:
    """Write ``folds.json`` and the folds' files, or see that they say what is asked for.

    Args:
        work_dir: Of the cross-validation; it exists.
        asked: What there is to say, as JSON-able values; under ``settings`` the config.
        splits: Content of each fold's file, by its place in ``work_dir``.
        has_begun: Whether there is anything that was trained. As long as there isn't, the files may change.

    Raises:
        ValueError: If the folder is of something else, or of another cross-validation.
    """
    path = work_dir / FILE
    asked = json.loads(_text(asked))
    if path.exists():
        difference = _difference(_read(path), asked)
        if difference and has_begun:
            key, old, new = difference
            raise ValueError(
                f'{path} says that the cross-validation there was begun with `{key}` {_short(old)}, but now '
                f'it is {_short(new)}. A fold that was trained so and one that was trained otherwise make no '
                f'table. {TAKE_ANOTHER}'
            )
    else:
        others = sorted(entry.name for entry in work_dir.iterdir() if not entry.name.startswith('.'))
        if others:
            raise ValueError(
                f'--work-dir {work_dir} holds no {FILE}, but {", ".join(others[:4])}: it is of something '
                'else. Name another folder, or an empty one.'
            )
    for place, text in splits.items():
        if (work_dir / place).exists() and has_begun:
            _check_splits(work_dir / place, text)
    _write(path, _text(asked))
    for place, text in splits.items():
        _write(work_dir / place, text)


def _check_splits(path: Path, text: str) -> None:
    if path.read_text(encoding='utf-8') == text:
        return
    found = read_splits(path)  # which says what is malformed
    expected = json.loads(text)
    before, now = ({case for split in SPLITS for case in splits[split]} for splits in (found, expected))
    changes = {'has got': now - before, 'has lost': before - now}
    news = ' and '.join(f'{verb} {_some(cases)}' for verb, cases in changes.items() if cases)
    if news:
        raise ValueError(
            f'The store {news} since {path} was written, so its folds would not be of one set. {TAKE_ANOTHER}'
        )
    raise ValueError(
        f'{path} is not what the seed and the patients of the store give: it was edited, or patients are '
        f'told otherwise now. Undo the change. {TAKE_ANOTHER}'
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        if isinstance(content, dict):
            return content
    except ValueError as error:
        raise ValueError(f'{path} is not valid JSON: {error}. Name another --work-dir.') from error
    raise ValueError(f'{path} is not of a cross-validation. Name another --work-dir.')


def _write(path: Path, text: str) -> None:
    if path.exists() and path.read_text(encoding='utf-8') == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        temporary.write_text(text, encoding='utf-8')


def _text(content: Any) -> str:
    return json.dumps(content, indent=2, default=str) + '\n'


def _difference(old: Any, new: Any, key: str = '') -> tuple[str, Any, Any] | None:
    """Return key, with dots, and both values of the first setting that differs, or None."""
    if isinstance(old, dict) and isinstance(new, dict):
        names = [*new, *(name for name in old if name not in new)]
        parts = [(old.get(name, ABSENT), new.get(name, ABSENT), name) for name in names]
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        parts = [(a, b, str(index)) for index, (a, b) in enumerate(zip(old, new, strict=True))]
    else:
        return None if json.dumps(old) == json.dumps(new) else (key, old, new)
    within = f'{key}.' if key and key != SETTINGS else ''
    return next((found for a, b, name in parts if (found := _difference(a, b, within + name))), None)


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f'{text[:80]}…'


def _some(cases: set[str]) -> str:
    names = sorted(cases)
    return ', '.join(names[:3]) + (f' and {len(names) - 3} more cases' if len(names) > 3 else '')

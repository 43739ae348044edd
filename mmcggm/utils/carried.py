"""Configs and tools that come with the package: in a wheel in ``mmcggm/.mim``, in a clone beside it."""

from __future__ import annotations

import os
from pathlib import Path

from .spelling import close_to, one_of

PACKAGE = Path(__file__).parents[1]


def carried_folder(name: str) -> Path:
    """Return the folder ``configs`` or ``tools``.

    Raises:
        FileNotFoundError: If it did not come with the package.
    """
    mim = PACKAGE / '.mim'
    folder = (mim if mim.is_dir() else PACKAGE.parent) / name
    if not folder.is_dir():
        raise FileNotFoundError(
            f"mmcggm in '{PACKAGE}' has come without its {name}: install it by pip, from a wheel or a clone."
        )
    return folder


def find_config(path: str | Path, beside: Path | None = None) -> Path:
    """Return the config ``path``; where there is no such file, that which mmcggm brings by this name.

    ``configs/cggm/watch.py`` and ``cggm/watch.py`` name the same. That one of mmcggm's is taken is printed,
    unless one of mmcggm's own asks for it.

    Args:
        path: Relative to the current folder.
        beside: The folder of the config that names it, where it is looked for next.

    Raises:
        FileNotFoundError: If it is nowhere; it says where it was looked for and which names are like it.
    """
    path = Path(path)
    tried = [path] if beside is None else [path, beside / path]
    for file in tried:
        if file.is_file():
            return file
    configs = carried_folder('configs')
    name = path.relative_to('configs') if path.parts[:1] == ('configs',) else path
    if not path.is_absolute() and (configs / name).is_file():
        if beside is None or not beside.resolve().is_relative_to(configs.resolve()):
            print(f"There is no '{path}' in this folder, so mmcggm's own is taken: {configs / name}")
        return configs / name
    theirs = close_to(name.as_posix(), [f.relative_to(configs).as_posix() for f in configs.glob('*/*.py')])
    hint = one_of(dict.fromkeys([*_own_configs_like(path, tried), *theirs][:3]))
    near = '' if beside is None or beside.resolve() == Path.cwd() else f" or in '{beside}'"
    raise FileNotFoundError(
        f"There is no config '{path}' in this folder{near}, and mmcggm brings none of that name.{hint}"
    )


def _own_configs_like(path: Path, tried: list[Path]) -> list[str]:
    """Return the user's own configs that are called nearly so: beside those ``tried``, here, in `configs`."""
    beside = [file for one in tried for file in one.parent.glob('*.py')]
    places = [*beside, *Path().glob('*.py'), *Path().glob('configs/**/*.py')]
    names = close_to(path.name, {file.name for file in places}, cutoff=0.7)
    found = [file.as_posix() for name in names for file in dict.fromkeys(places) if file.name == name]
    near = close_to(
        path.as_posix(), found, cutoff=0.0
    )  # of one name, those in a folder of the same name first
    return [*near, *(file for file in found if file not in near)]


def inherited_name(name: str) -> str:
    """Return what a config anywhere writes in ``_base_`` to inherit mmcggm's own ``name``.

    MMEngine finds `mmcggm::` in a wheel's ``.mim`` alone; in a clone it takes the path.
    """
    wheel = (PACKAGE / '.mim').is_dir()
    return f'mmcggm::{name}' if wheel else (carried_folder('configs') / name).as_posix()


def carried_config(path: Path) -> str | None:
    """Return the name of mmcggm's own config whose path ``path`` ends with, or None."""
    configs = carried_folder('configs')
    parts = Path(os.path.normpath(path)).parts
    names = ('/'.join(parts[start:]) for start in range(1, len(parts) - 1))
    return next((name for name in names if (configs / name).is_file()), None)

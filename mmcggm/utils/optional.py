"""Packages that only an extra installs: imports of them, and the files that they bring."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType


def import_optional(module: str, extra: str) -> ModuleType:
    """Import ``module``, or say which extra of mmcggm brings it.

    Args:
        module: Import name, for example ``'h5py'``.
        extra: The extra in ``pyproject.toml`` that installs it, for example ``'brats'``.

    Raises:
        ImportError: If ``module`` itself is not installed. An error inside an installed
            module is passed on as it is.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split('.')[0] != module.split('.')[0]:
            raise
        raise ImportError(
            f"'{module}' is not installed. It comes with the extra '{extra}': pip install 'mmcggm[{extra}]' "
            f"(in a clone: pip install -e '.[{extra}]')."
        ) from error


def installed_folder(package: str, folder: str, obtain: str) -> Path:
    """Return the folder of data that an installed package brings, without importing the package.

    Args:
        package: Import name.
        folder: The folder in it.
        obtain: How to get the files, for the message.

    Raises:
        FileNotFoundError: If the package is not installed, or has no such folder.
    """
    spec = find_spec(package)
    for location in (spec.submodule_search_locations or ()) if spec else ():
        if (found := Path(location, folder)).is_dir():
            return found
    raise FileNotFoundError(
        f'No folder was named, and {package}, which brings the files, is absent: {obtain}.'
    )

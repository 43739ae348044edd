"""Imports of packages that only an extra installs."""

from importlib import import_module
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

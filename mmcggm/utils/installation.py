"""What the package needs and what of it is installed, as their metadata have it; nothing is imported."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, metadata, version
from typing import NamedTuple

from packaging.requirements import Requirement

PACKAGE = 'mmcggm'


class Package(NamedTuple):
    """A package that is needed.

    Attributes:
        name: Its name; that of the original package where this is installed in place of a build of OneDL's.
        needed: The versions that are, such as ``'>=2.6'``.
        installed: The version that is there; None if it is absent.
        is_enough: Whether that version is one of those.
    """

    name: str
    needed: str
    installed: str | None
    is_enough: bool


def extras() -> list[str]:
    """Return the names of the extras.

    Raises:
        PackageNotFoundError: If mmcggm itself is not installed.
    """
    return metadata(PACKAGE).get_all('Provides-Extra') or []


def packages(extra: str = '') -> list[Package]:
    """Return the packages that an extra brings, also by other extras; without one, those always needed.

    Raises:
        PackageNotFoundError: If mmcggm itself is not installed.
    """
    found: dict[str, Package] = {}
    for text in metadata(PACKAGE).get_all('Requires-Dist') or []:
        requirement = Requirement(text)
        belongs = requirement.marker is None or requirement.marker.evaluate(dict(extra=extra))
        if not belongs or (extra and requirement.marker is None):
            continue
        if requirement.name == PACKAGE:  # an extra that includes others
            for other in sorted(requirement.extras):
                found |= {package.name: package for package in packages(other)}
        else:
            found[requirement.name] = _package(requirement)
    return list(found.values())


def _package(requirement: Requirement) -> Package:
    name, needed = requirement.name, requirement.specifier
    installed = _version(name)
    if installed is not None:
        return Package(name, str(needed), installed, needed.contains(installed, prereleases=True))
    # Whoever keeps OpenMMLab's own packages has numbers of another line.
    original = name.removeprefix('onedl-')
    installed = _version(original)
    if installed is None:
        return Package(name, str(needed), None, False)
    return Package(original, 'any', installed, True)


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None

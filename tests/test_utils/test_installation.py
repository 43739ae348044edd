"""What is needed and installed is told from metadata, whoever built the packages."""

from email.message import Message
from importlib.metadata import PackageNotFoundError

import pytest

from mmcggm.utils import installation
from mmcggm.utils.installation import extras, packages

NEEDED = [
    'torch>=2.6',
    'onedl-mmcv>=2.3.4',
    'onedl-mmengine>=0.10.10',
    'numpy>=2',
    "h5py>=3; extra == 'brats'",
    "pandas>=2; extra == 'data'",
    "mmcggm[brats,data]; extra == 'dev'",
    "ruff>=0.8; extra == 'dev'",
    "mmcggm[dev]; extra == 'all'",
]
INSTALLED = {'torch': '2.6.0+cpu', 'mmcv': '2.1.0', 'numpy': '1.26', 'pandas': '2.2', 'ruff': '0.9rc1'}


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    message = Message()
    for requirement in NEEDED:
        message['Requires-Dist'] = requirement
    for extra in ('brats', 'data', 'dev', 'all'):
        message['Provides-Extra'] = extra

    def version(name: str) -> str:
        if name not in INSTALLED:
            raise PackageNotFoundError(name)
        return INSTALLED[name]

    monkeypatch.setattr(installation, 'metadata', lambda name: message)
    monkeypatch.setattr(installation, 'version', version)


def test_what_is_always_needed():
    found = {package.name: (package.installed, package.is_enough) for package in packages()}
    assert found == {
        'torch': ('2.6.0+cpu', True),
        'mmcv': ('2.1.0', True),  # the original has numbers of another line
        'onedl-mmengine': (None, False),
        'numpy': ('1.26', False),
    }


def test_an_extra_has_what_it_brings_by_others_and_nothing_else():
    assert extras() == ['brats', 'data', 'dev', 'all']
    assert [p.name for p in packages('brats')] == ['h5py']
    assert (
        [p.name for p in packages('all')] == [p.name for p in packages('dev')] == ['h5py', 'pandas', 'ruff']
    )
    assert [p.name for p in packages('all') if not p.is_enough] == ['h5py']

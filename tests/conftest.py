"""Fixtures for all tests: small synthetic cases in both namings, and the real cases where there are some."""

import os
import random
import runpy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from mmengine.registry import DefaultScope

from tests.synthetic import write_synthetic_case

REPOSITORY = Path(__file__).parents[1]

# Tests run in a process a core; more threads each only get in one another's way.
torch.set_num_threads(1)

# The same examples each time, so that a test fails for a change alone; `--hypothesis-profile explore` draws
# others. A first example pays for imports, and machines are shared: none has a time limit.
settings.register_profile('explore', deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile('mmcggm', settings.get_profile('explore'), derandomize=True, database=None)
settings.load_profile('mmcggm')


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Seed all that is random before a test and its fixtures, so that no test depends on those before it."""
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope='module')
def nothing_left_behind() -> Iterator[None]:
    """Forget the default scope of a runner that a module built, and the environment of a tool that it ran.

    Others would inherit them: Accelerate takes a ``LOCAL_RANK`` for one of several processes.
    """
    before = dict(os.environ)
    yield
    DefaultScope._instance_dict.clear()
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run a tool in this process, with SystemExit where it fails, and leave no default scope behind."""
    monkeypatch.setattr(DefaultScope, '_instance_dict', DefaultScope._instance_dict.copy())
    monkeypatch.syspath_prepend(REPOSITORY)

    def run(name: str, *arguments: object) -> None:
        monkeypatch.setattr(sys, 'argv', [name, *map(str, arguments)])
        try:
            runpy.run_path(str(REPOSITORY / 'tools' / name), run_name='__main__')
        except SystemExit as end:
            if end.code:
                raise

    return run


@pytest.fixture(scope='session')
def brats_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source folder, not to be changed: four labelled cases of three patients, and one unlabelled."""
    folder = tmp_path_factory.mktemp('brats_source')
    write_synthetic_case(folder, 'BraTS2021_00001', '2021', seed=1)
    write_synthetic_case(folder / 'nested', 'BraTS2021_00002', '2021', seed=2, et=False, extension='.nii')
    write_synthetic_case(folder, 'BraTS-GLI-00003-000', '2023', seed=3)
    write_synthetic_case(folder, 'BraTS-GLI-00003-001', '2023', seed=4)
    write_synthetic_case(folder, 'BraTS-GLI-00004-000', '2023', seed=5, with_seg=False)
    return folder


@pytest.fixture(scope='session')
def brats_store(brats_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store made from ``brats_source``, not to be changed."""
    pytest.importorskip('h5py')
    from mmcggm.datasets.brats.converter import convert_folder

    store = tmp_path_factory.mktemp('brats_store')
    convert_folder(brats_source, store)
    return store


@pytest.fixture(scope='session')
def real_data() -> Path:
    """The folder of real data, ``$MMCGGM_TEST_DATA`` or ``../shared/data``; skips where there is none."""
    folder = Path(os.environ.get('MMCGGM_TEST_DATA', REPOSITORY.parent / 'shared' / 'data'))
    if not folder.is_dir():
        pytest.skip(f'no real data in {folder} (set MMCGGM_TEST_DATA)')
    return folder


@pytest.fixture(scope='session')
def real_brats(real_data: Path) -> Path:
    """The folder of real BraTS cases; skips where there is none."""
    folder = real_data / 'brats'
    if not folder.is_dir():
        pytest.skip(f'no real BraTS cases in {folder}')
    return folder

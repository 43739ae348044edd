"""Importing the package is light, and a missing part names its extra."""

import subprocess
import sys

import pytest

from mmcggm.utils import import_optional


def test_import_loads_no_heavy_library():
    code = (
        'import sys, mmcggm; '
        "heavy = {'mmseg', 'mmpretrain', 'transformers', 'sklearn', 'torch', 'h5py', 'panoptica'}; "
        'assert not heavy & set(sys.modules), heavy & set(sys.modules)'
    )
    subprocess.run([sys.executable, '-c', code], check=True)


def test_balancers_load_no_model_library():
    code = (
        'import sys, mmcggm.balancers; '
        "heavy = {'mmseg', 'mmpretrain', 'transformers', 'sklearn', 'h5py'}; "
        'assert not heavy & set(sys.modules), heavy & set(sys.modules)'
    )
    subprocess.run([sys.executable, '-c', code], check=True)


def test_missing_package_names_its_extra():
    with pytest.raises(ImportError, match=r"comes with the extra 'brats': pip install 'mmcggm\[brats\]'"):
        import_optional('no_such_package', extra='brats')


def test_error_inside_a_package_is_passed_on(tmp_path, monkeypatch):
    (tmp_path / 'broken_package.py').write_text('import another_missing_package')
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match='another_missing_package'):
        import_optional('broken_package', extra='brats')


def test_import_says_nothing_of_what_is_not_used():
    warning = 'MultiScaleDeformableAttention of another'
    code = f'import warnings, mmcggm.apis, mmcggm.engine; warnings.warn({warning!r})'
    done = subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True)
    lines = [line for line in done.stderr.splitlines() if 'Warning: ' in line]
    assert [line.partition('Warning: ')[2] for line in lines] == [warning]

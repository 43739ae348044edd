"""The pins of `make test-lowest`."""

import runpy
from pathlib import Path

import pytest

lowest = runpy.run_path(str(Path(__file__).parents[1] / '.ci' / 'lowest.py'))['lowest']


def test_each_requirement_is_pinned_once_to_its_lower_bound():
    requirements = [
        'torch>=2.6',
        'onedl-mmcv!=2.3.2,>=2.3.1',
        "h5py>=3.11; extra == 'brats'",
        "mmcggm[brats]; extra == 'demo'",
        "h5py>=3.11; extra == 'data'",
        "jax[cpu]<1,>=0.4; extra == 'dev'",
    ]
    assert lowest(requirements) == ['torch==2.6', 'onedl-mmcv==2.3.1', 'h5py==3.11', 'jax==0.4']


def test_a_requirement_without_one_lower_bound_is_refused():
    with pytest.raises(ValueError, match=r"'scipy<2' in pyproject.toml has no lower bound"):
        lowest(['torch>=2.6', 'scipy<2'])
    with pytest.raises(ValueError, match="'h5py' has different lower bounds"):
        lowest(['h5py>=3.11', "h5py>=3.8; extra == 'data'"])

"""The doctor says what is wrong, and its exit status says whether anything is."""

import sys
from pathlib import Path

import pytest

from mmcggm.utils import installation
from tests.formats.real_sets import write_watch
from tests.tool import run_script

ROOT = Path(__file__).parents[2]


@pytest.fixture
def doctor(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)

    def run(*configs: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, 'argv', ['doctor.py', *configs])
        return run_script(ROOT / 'tools' / 'doctor.py'), capsys.readouterr().out

    return run


def test_it_tells_whether_data_is_there(doctor):
    from mmcggm.datasets.watch.converter import convert_recordings

    status, said = doctor('cggm/watch.py')
    assert status == 1 and "'data/watch'" in said and 'docs/real_sets.md' in said
    write_watch(Path())
    convert_recordings('.', 'data/watch')
    status, said = doctor('cggm/watch.py')
    assert status == 0 and 'train_dataloader: 42 samples' in said
    assert 'torch ' in said and 'quickstart' in said and 'CPU: ' in said
    assert said.endswith('All is well.\n')


def test_it_tells_what_is_absent_or_broken(doctor, monkeypatch):
    monkeypatch.setitem(sys.modules, 'mmpretrain', None)  # as an import that fails
    status, said = doctor()
    assert status == 1 and 'mmpretrain is installed, but cannot be imported: ModuleNotFoundError' in said
    found = installation.version
    monkeypatch.setattr(installation, 'version', lambda name: '0.1' if name == 'nibabel' else found(name))
    status, said = doctor()
    assert status == 1 and 'too old' in said and 'pip install --upgrade mmcggm' in said
    assert said.endswith('Something is wrong: see above.\n')

"""Configs and tools that come with the package are found, and a user's own go first."""

from pathlib import Path

import pytest

from mmcggm.utils import carried
from mmcggm.utils.carried import carried_folder, find_config

ROOT = Path(__file__).parents[2]


def test_a_config_of_mmcggm_is_found_in_any_folder_and_said(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ('cggm/watch.py', 'configs/cggm/watch.py'):
        assert find_config(name) == ROOT / 'configs' / 'cggm' / 'watch.py'
        assert f"no '{name}' in this folder" in capsys.readouterr().out


def test_a_file_of_ones_own_goes_first(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path('cggm').mkdir()
    Path('cggm/watch.py').write_text('a = 1')
    assert find_config('cggm/watch.py') == Path('cggm/watch.py')
    assert find_config(tmp_path / 'cggm' / 'watch.py') == tmp_path / 'cggm' / 'watch.py'
    assert not capsys.readouterr().out


@pytest.mark.parametrize('name', ['nowhere.py', 'cggm', '/cggm/watch.py', ''])
def test_what_is_nowhere_is_an_error(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match='There is no config'):
        find_config(name)


def test_ones_own_files_are_proposed_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path('configs/study').mkdir(parents=True)
    for name in ('configs/mine.py', 'configs/study/watchs.py'):
        Path(name).write_text('a = 1')
    for asked in ('configs/min.py', 'mine.py', 'configs/Mine.py'):
        with pytest.raises(FileNotFoundError, match=r"Did you mean 'configs/mine\.py'"):
            find_config(asked)
    with pytest.raises(FileNotFoundError, match=r"mean 'configs/study/watchs\.py' or 'cggm/watch\.py'"):
        find_config('cggm/watc.py')


def test_a_wheel_has_them_below_the_package_and_a_clone_beside_it(tmp_path, monkeypatch):
    monkeypatch.setattr(carried, 'PACKAGE', tmp_path / 'mmcggm')
    with pytest.raises(FileNotFoundError, match='without its tools: install it by pip'):
        carried_folder('tools')
    (tmp_path / 'tools').mkdir()
    assert carried_folder('tools') == tmp_path / 'tools'
    (tmp_path / 'mmcggm' / '.mim' / 'tools').mkdir(parents=True)
    assert carried_folder('tools') == tmp_path / 'mmcggm' / '.mim' / 'tools'

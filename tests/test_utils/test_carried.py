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


def test_a_config_is_looked_for_here_then_beside_the_one_that_names_it_then_among_mmcggms_own(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    beside = tmp_path / 'beside'
    places = [Path('cggm/watch.py'), beside / 'cggm/watch.py', ROOT / 'configs' / 'cggm' / 'watch.py']
    for place in places[:2]:
        place.parent.mkdir(parents=True)
        place.write_text('a = 1')
    for place in places:
        assert find_config('cggm/watch.py', beside) == place
        if place != places[-1]:
            place.unlink()
    assert "mmcggm's own is taken" in capsys.readouterr().out
    # One of mmcggm's that names another of mmcggm's has nothing to say.
    assert find_config('configs/cggm/watch.py', ROOT / 'configs' / 'benchmark') == places[-1]
    assert not capsys.readouterr().out
    (beside / 'mine.py').write_text('a = 1')
    with pytest.raises(FileNotFoundError, match=rf"this folder or in '{beside}', and .*beside/mine\.py'"):
        find_config('mime.py', beside)


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

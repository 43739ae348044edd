"""Files that are complete or absent, and what killed processes leave."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmcggm.utils import atomic
from mmcggm.utils.atomic import remove_stale, replacing, temporary_path

NOBODY = 2**22 + 1  # more than any process's number


def test_the_old_file_stays_until_the_new_one_is_complete(tmp_path):
    path = tmp_path / 'table.csv'
    path.write_text('old')
    with replacing(path) as temporary:
        temporary.write_text('new')
        assert path.read_text() == 'old' and temporary.suffix == '.csv'
    assert path.read_text() == 'new' and list(tmp_path.iterdir()) == [path]


def test_after_an_error_nothing_stays(tmp_path):
    path = tmp_path / 'table.csv'
    path.write_text('old')

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text('half')
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == 'old' and list(tmp_path.iterdir()) == [path]


def test_what_is_written_reaches_the_disk_before_its_name_and_then_the_folder(tmp_path, monkeypatch):
    calls: list[str] = []
    monkeypatch.setattr(atomic, '_sync', lambda path: calls.append(f'sync {path.name}'))
    replace = os.replace
    monkeypatch.setattr(os, 'replace', lambda a, b: (calls.append('replace'), replace(a, b)))
    with replacing(tmp_path / 'a') as temporary:
        temporary.touch()
    assert calls == [f'sync {temporary.name}', 'replace', f'sync {tmp_path.name}']


def test_leftovers_of_the_dead_are_removed_and_those_of_the_living_are_not(tmp_path):
    living = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])
    try:
        dead = temporary_path(tmp_path / 'dead.pth', NOBODY)
        reborn = temporary_path(tmp_path / 'reborn.pth', os.getpid())  # of a process that had our number
        alive = temporary_path(tmp_path / 'alive.pth', living.pid)
        elsewhere = tmp_path / '.tmp-0123abcd-1-elsewhere.pth'
        long_ago = tmp_path / '.tmp-0123abcd-2-elsewhere.pth'
        old_naming = tmp_path / '.tmp-77-older.pth'
        for path in (dead, reborn, alive, elsewhere, long_ago, old_naming, tmp_path / 'mine.pth'):
            path.write_text('half')
        two_days_ago = time.time() - 2 * atomic.DAY
        for path in (long_ago, old_naming):
            os.utime(path, (two_days_ago, two_days_ago))
        with replacing(tmp_path / 'now.pth') as now:
            now.write_text('being written')
            remove_stale(tmp_path)
            assert set(tmp_path.iterdir()) == {alive, elsewhere, now, tmp_path / 'mine.pth'}
    finally:
        living.kill()
        living.wait()
    remove_stale(tmp_path)
    assert not alive.exists()


def test_a_folder_that_is_not_there_has_no_leftovers(tmp_path):
    remove_stale(Path(tmp_path, 'none'))

"""Folders are made and tried before there is work."""

import os

import pytest

from mmcggm.utils.folders import make_writable


def test_a_folder_and_its_parents_are_made_and_nothing_stays_in_it(tmp_path):
    assert make_writable(tmp_path / 'a' / 'b', 'The work_dir') == tmp_path / 'a' / 'b'
    assert not list((tmp_path / 'a' / 'b').iterdir())


@pytest.mark.parametrize('path', ['file', 'file/below', 'file/far/below'])
def test_a_file_in_the_place_of_a_folder_is_named(tmp_path, path):
    (tmp_path / 'file').touch()
    with pytest.raises(OSError, match=r"^--out is '.*', but '.*/file' is a file: name a folder"):
        make_writable(tmp_path / path, '--out')


def test_what_can_not_be_written_to_is_named():
    with pytest.raises(OSError, match=r"^The work_dir is '/proc/mmcggm', which can not be written to: "):
        make_writable('/proc/mmcggm', 'The work_dir')


@pytest.mark.skipif(os.geteuid() == 0, reason='permissions do not hold for root')
def test_a_folder_without_permission_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OSError, match='which can not be written to: Permission denied'):
        make_writable(tmp_path, 'The work_dir')

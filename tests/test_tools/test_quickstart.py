"""From the recordings in an installed seglearn to the picture, by the commands that are printed."""

import subprocess
import sys
from pathlib import Path

from mmcggm.__main__ import main
from tests.formats.real_sets import write_watch

ROOT = Path(__file__).parents[2]
CONFIG = f"""
_base_ = ['{ROOT}/configs/cggm/watch.py']
train_cfg = dict(max_epochs=2)
default_hooks = dict(logger=dict(interval=1))
"""


def test_it_trains_tests_and_draws(tmp_path, monkeypatch, capsys, tool):
    packages, folder = tmp_path / 'packages', tmp_path / 'folder'
    (packages / 'seglearn' / 'data').mkdir(parents=True)
    write_watch(packages / 'seglearn' / 'data')
    (packages / 'seglearn' / '__init__.py').write_text("raise AssertionError('seglearn is imported')")
    (folder / 'cggm').mkdir(parents=True)
    (folder / 'cggm' / 'watch.py').write_text(CONFIG)  # which goes before mmcggm's own
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(packages)
    monkeypatch.setitem(sys.modules, '__main__', sys.modules['__main__'])

    in_another = subprocess.run

    def in_this_process(command: list[str], **options) -> subprocess.CompletedProcess:
        if command[:3] != [sys.executable, '-m', 'mmcggm']:  # as MMEngine, which asks for a compiler
            return in_another(command, **options)
        monkeypatch.setattr(sys, 'argv', command[2:])
        try:
            main()
        except SystemExit as end:
            return subprocess.CompletedProcess(command, end.code or 0)
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, 'run', in_this_process)
    tool('quickstart.py')
    said = capsys.readouterr().out
    for step in ('convert watch', 'train cggm/watch.py', 'test cggm/watch.py', 'plot balance'):
        assert f'$ mmcggm {step}' in said
    assert 'Recognised in the test: ' in said and 'gyroscope' in said
    assert Path('work_dirs/cggm/watch/balance.png').stat().st_size > 10_000

"""The command ``mmcggm``: it runs the tools, and says what there is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mmcggm.__main__ import COMMANDS, find, main

ROOT = Path(__file__).parents[1]
# Those that measure the project itself.
NO_COMMANDS = {
    f'analysis_tools/benchmark_{what}.py'
    for what in ('feature_cache', 'overhead', 'patches', 'reading', 'sequence', 'training', 'windows')
}


def python(*arguments: str, path: object = ROOT, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    environment = {**os.environ, 'PYTHONPATH': str(path)}
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=environment, capture_output=True, text=True
    )


def run(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    """Return the exit status of a command in this process."""
    monkeypatch.setattr(sys, 'argv', ['mmcggm', *words])
    monkeypatch.setitem(sys.modules, '__main__', sys.modules['__main__'])  # which it replaces
    try:
        main()
    except SystemExit as end:
        return end.code or 0
    return 0


def test_every_tool_has_a_command():
    files = {path.relative_to(ROOT / 'tools').as_posix() for path in (ROOT / 'tools').rglob('*.py')}
    assert {tool.file for tool in COMMANDS.values()} == files - NO_COMMANDS


def test_a_command_is_found_by_one_word_or_by_two():
    assert {name: find([*name.split(), 'train', '--out']) for name in COMMANDS} == {n: n for n in COMMANDS}
    assert find([]) is find(['convert']) is find(['convert', 'train']) is None


@pytest.mark.parametrize(
    ('words', 'status', 'said'),
    [
        ([], 0, ['train', 'convert brats', 'plot balance', 'doctor']),
        (['--help'], 0, ['train', 'convert brats']),
        (['convert'], 0, ['convert brats', 'convert watch']),
        (['plot', '-h'], 0, ['plot balance']),
        (['trian'], 2, ["no command 'trian'. Did you mean 'train'"]),
        (['convert', 'brat', '--out', 'x'], 2, ["no command 'convert brat'. Did you mean 'convert brats'"]),
    ],
)
def test_what_there_is_and_what_not(words, status, said, monkeypatch, capsys):
    assert run(monkeypatch, *words) == status
    printed = capsys.readouterr()
    assert all(part in (printed.err if status else printed.out) for part in said)
    assert ('  train ' in printed.out) == (words in ([], ['--help']))


def test_a_tool_runs_as_a_script_does(tmp_path):
    """It has its name and arguments, is ``__main__``, and may start processes that run its functions."""
    (tmp_path / 'train.py').write_text(
        'import multiprocessing, sys\n'
        'def square(x: int) -> int:\n'
        '    return x * x\n'
        "if __name__ == '__main__':\n"
        "    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
        '        print(sys.argv, __file__, square.__annotations__, pool.map(square, [3]))\n'
    )
    start = (
        'import sys; from mmcggm import __main__ as command_line; from pathlib import Path\n'
        f'command_line.carried_folder = lambda name: Path({str(tmp_path)!r})\n'
        "sys.argv = ['mmcggm', 'train', 'config.py', '--amp']; command_line.main()"
    )
    found = python('-c', start)
    expected = f"['mmcggm train', 'config.py', '--amp'] {tmp_path / 'train.py'} "
    assert found.stdout.startswith(expected), found.stderr
    assert found.stdout.endswith("{'x': <class 'int'>, 'return': <class 'int'>} [9]\n")


def test_help_is_of_the_command_and_needs_no_torch(tmp_path):
    (tmp_path / 'torch.py').write_text("raise AssertionError('torch is imported')")
    found = python('-m', 'mmcggm', 'train', '--help', path=f'{tmp_path}{os.pathsep}{ROOT}', cwd=tmp_path)
    assert found.returncode == 0 and found.stdout.startswith('usage: mmcggm train '), found.stderr
    assert '--resume' in found.stdout


def test_an_error_of_a_tool_is_a_sentence(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, 'train', 'cggm/wach.py') == 1
    said = capsys.readouterr().err
    assert "no config 'cggm/wach.py'" in said and "Did you mean 'cggm/watch.py'" in said
    assert 'Traceback' not in said

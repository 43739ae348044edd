"""What the scripts for Slurm ask srun for, and the command that they give it."""

import argparse
import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def srun(tmp_path):
    """Return a function that runs a script of ``tools/`` with an srun that only prints its arguments."""
    fake = tmp_path / 'srun'
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', encoding='utf-8')
    fake.chmod(0o755)

    def run(script: str, *arguments: str, **variables: str) -> tuple[list[str], list[str]]:
        env = {**os.environ, 'PATH': f'{tmp_path}:{os.environ["PATH"]}', **variables}
        command = ['bash', f'tools/{script}', *arguments]
        said = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True).stdout
        words = said.splitlines()
        start = words.index('python')
        return words[:start], words[start:]

    return run


def parsed(monkeypatch, tool: str, *words: str) -> argparse.Namespace:
    """Return what a tool understands of a call."""
    monkeypatch.setattr(sys, 'argv', [tool, *words])
    return runpy.run_path(str(ROOT / tool))['parse_args']()


def test_a_training_gets_its_processes_and_flags(srun, monkeypatch):
    asked, (*python, tool, config, folder, launcher, amp) = srun(
        'slurm_train.sh', 'gpu', 'mine', 'a.py', 'out', '--amp', GPUS='16', SRUN_ARGS='--mem=8G --time=9'
    )
    assert asked[:3] == ['-p', 'gpu', '--job-name=mine'] and asked[-2:] == ['--mem=8G', '--time=9']
    assert {'--ntasks=16', '--ntasks-per-node=8', '--gres=gpu:8', '--kill-on-bad-exit=1'} < set(asked)
    assert python == ['python', '-u'] and tool == 'tools/train.py'
    args = parsed(monkeypatch, tool, config, folder, launcher, amp)
    assert (args.config, args.work_dir, args.launcher, args.amp) == ('a.py', 'out', 'slurm', True)


def test_a_test_takes_an_ensemble_and_flags(srun, monkeypatch):
    options = ['--cfg-options', 'a=1', 'b=2']
    _, (_, _, tool, *words) = srun('slurm_test.sh', 'gpu', 'mine', 'a.py', '1.pth', '2.pth', *options)
    args = parsed(monkeypatch, tool, *words)
    assert (args.config, args.checkpoint, args.launcher) == ('a.py', ['1.pth', '2.pth'], 'slurm')
    assert args.cfg_options == dict(a=1, b=2)

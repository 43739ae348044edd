import json
import sys
from pathlib import Path

import pytest

from tests.tool import run_script

TOOL = Path(__file__).parents[2] / 'tools' / 'analysis_tools' / 'benchmark_feature_cache.py'


def test_figures_are_printed_and_written(tmp_path, monkeypatch, capsys):
    target = tmp_path / 'figures.json'
    options = ['--items', 4, '--width', 24, '--batch-size', 2, '--turns', 1, '--json', target]
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, options)])
    assert run_script(TOOL) == 0
    figures = json.loads(target.read_text())
    assert json.dumps(figures, indent=2) in capsys.readouterr().out
    seconds = figures['seconds_an_epoch']
    assert 0 < seconds['cached_reading'] < seconds['plain_reading'] < seconds['plain']
    assert figures['plain_to_cached'] == pytest.approx(seconds['plain'] / seconds['cached'])

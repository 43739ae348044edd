import json
import sys
from pathlib import Path

import pytest

from tests.tool import run_script

TOOL = Path(__file__).parents[2] / 'tools' / 'analysis_tools' / 'benchmark_windows.py'


def test_windows_are_monais_and_figures_are_printed_and_written(tmp_path, monkeypatch, capsys):
    pytest.importorskip('monai')
    target = tmp_path / 'figures.json'
    arguments = ['--shape', 20, 70, 40, '--repeats', 1, '--json', target]
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
    assert run_script(TOOL) == 0
    figures = json.loads(target.read_text())
    printed = capsys.readouterr().out
    assert figures == json.loads(printed[printed.index('{') :])  # an import may print before
    assert figures['largest_difference_of_logits'] <= 1e-5
    times, memory = figures['median_s'], figures['peak_mb']
    assert figures['ours_to_monai'] == pytest.approx(times['ours'] / times['monai'])
    assert min(memory.values()) > 20 * 70 * 40 * 4 * 4 / 1e6  # at least the logits of four classes

import json
import sys
from pathlib import Path

import pytest

from tests.tool import run_script

TOOL = Path(__file__).parents[2] / 'tools' / 'analysis_tools' / 'benchmark_reading.py'


def test_figures_are_printed_and_written(brats_source, brats_store, tmp_path, monkeypatch, capsys):
    pytest.importorskip('monai')
    target = tmp_path / 'figures.json'
    arguments = [brats_source, brats_store, '--cases', 2, '--repeats', 2, '--json', target]
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
    assert run_script(TOOL) == 0
    figures = json.loads(target.read_text())
    printed = capsys.readouterr().out
    assert figures == json.loads(printed[printed.index('{') :])  # an import may print before
    times = figures['median_ms']
    assert min(times.values()) > 0
    assert figures['times_as_fast_as_nibabel'] == pytest.approx(times['nibabel'] / times['ours'])
    assert figures['times_as_fast_as_monai_slices'] == pytest.approx(times['monai_slices'] / times['ours'])

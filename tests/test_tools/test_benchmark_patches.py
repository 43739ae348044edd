import json
import sys
from pathlib import Path

import pytest

from tests.tool import run_script

TOOL = Path(__file__).parents[2] / 'tools' / 'analysis_tools' / 'benchmark_patches.py'


def test_figures_are_printed_and_written(brats_source, brats_store, tmp_path, monkeypatch, capsys):
    pytest.importorskip('monai')
    target = tmp_path / 'figures.json'
    arguments = [brats_source, brats_store, '--sizes', 12, 8, '--cases', 2, '--repeats', 2, '--json', target]
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
    assert run_script(TOOL) == 0
    figures = json.loads(target.read_text())
    printed = capsys.readouterr().out
    assert figures == json.loads(printed[printed.index('{') :])  # an import may print before
    assert list(figures['sizes']) == ['8', '12'] and len(figures['cases']) == 2
    for size, found in figures['sizes'].items():
        times = found['median_ms']
        assert min(times.values()) > 0
        assert found['times_as_fast_as_monai'] == pytest.approx(times['monai'] / times['ours'])
        assert found['ours_read_ns_per_voxel'] == pytest.approx(1e6 * times['ours_read'] / int(size) ** 3)

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch

from tests.tool import run_script

TOOL = Path(__file__).parents[2] / 'tools' / 'analysis_tools' / 'benchmark_overhead.py'


def test_figures_are_printed_and_written(tmp_path, monkeypatch, capfd):
    target = tmp_path / 'figures.json'
    arguments = ['--model', 'brats', '--iters', 2, '--device', 'cpu', '--json', target]
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
    threads = torch.get_num_threads()
    try:
        assert run_script(TOOL) == 0
    finally:
        torch.set_num_threads(threads)
    figures = json.loads(target.read_text())
    printed = capfd.readouterr().out
    assert figures == json.loads(printed[printed.index('{\n') : printed.rindex('}') + 1])
    brats = figures['brats']
    names = {'plain', 'guides', 'cggm', 'cggm_without_direction', 'cggm_with_linear_guides'}
    assert set(brats['median_ms']) == set(brats['peak_mib']) == names
    assert min(brats['median_ms'].values()) > 0
    for name, (low, high) in brats['time_ratio_quartiles'].items():
        assert min(low, high) <= brats['time_ratios'][name] <= max(low, high)
    assert brats['peak_mib']['guides'] > brats['peak_mib']['plain'] > 0
    assert brats['peak_ratios']['cggm_to_guides'] == pytest.approx(
        brats['peak_mib']['cggm'] / brats['peak_mib']['guides']
    )


@pytest.mark.parametrize('arguments', [['--iters', '1'], ['--model', 'unknown']])
def test_bad_arguments_are_refused(arguments, monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *arguments])
    with pytest.raises(SystemExit):
        runpy.run_path(str(TOOL), run_name='__main__')
    assert arguments[0] in capsys.readouterr().err

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

from tests.tool import run_script

TOOL = Path(__file__).parents[2] / 'tools' / 'analysis_tools' / 'benchmark_sequence.py'


def run_tool(monkeypatch, *arguments) -> int:
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
    threads = torch.get_num_threads()
    try:
        return run_script(TOOL)
    finally:
        torch.set_num_threads(threads)


def test_figures_are_printed_and_written(tmp_path, monkeypatch, capfd):
    pytest.importorskip('h5py')
    target = tmp_path / 'figures.json'
    sizes = ['--iters', 2, '--epochs', 1, '--samples', 12, '--batch-size', 4, '--workers', 0]
    assert run_tool(monkeypatch, *sizes, '--json', target) == 0
    figures = json.loads(target.read_text())
    printed = capfd.readouterr().out
    assert figures == json.loads(printed[printed.index('{\n') : printed.rindex('}') + 1])
    assert set(figures['step']) == {'masked', 'unmasked'}
    for step in figures['step'].values():
        assert min(step['median_ms'].values()) > 0
        low, high = sorted(step['ours_to_plain_quartiles'])
        assert low <= step['ours_to_plain'] <= high
    assert set(figures['busy_share']) == {'pkl', 'h5'}
    assert all(0 < share < 1 for share in figures['busy_share'].values())


@pytest.mark.parametrize('padded', [True, False])
def test_contenders_compute_the_same(padded):
    tool = runpy.run_path(str(TOOL))
    cfg = Config.fromfile(tool['CONFIG'])
    with DefaultScope.overwrite_default_scope('mmcggm'):
        ours, plain = (model.eval() for model in tool['models'](cfg))
    data = tool['random_batch'](cfg, 2, padded)
    torch.testing.assert_close(
        ours(data['inputs'], lengths=data.get('lengths')), plain(data['inputs'], data.get('lengths'))
    )


def test_dropout_is_the_same():
    tool = runpy.run_path(str(TOOL))
    with DefaultScope.overwrite_default_scope('mmcggm'):
        models = tool['models'](Config.fromfile(tool['CONFIG']))
    for model in models:
        attention = {m.dropout for m in model.modules() if isinstance(m, torch.nn.MultiheadAttention)}
        others = {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)}
        assert (attention, others) == ({0.15}, {0.15, 0.2, 0.1})


@pytest.mark.parametrize('arguments', [['--iters', '1'], ['--samples', '64']])
def test_bad_arguments_are_refused(arguments, monkeypatch, capsys):
    assert run_tool(monkeypatch, *arguments) == 2
    assert arguments[0] in capsys.readouterr().err

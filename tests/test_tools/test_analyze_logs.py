"""analyze_logs.py, which is mmpretrain's, reads the logs of this project's trainings."""

import json
import re

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot

from tests.tiny import tiny_runner

TOOL = 'analysis_tools/analyze_logs.py'


@pytest.fixture(scope='module')
def log(tmp_path_factory):
    """The log of a training by CGGM, of two epochs of four updates, of which each is logged."""
    folder = tmp_path_factory.mktemp('training')
    tiny_runner(folder, default_hooks=dict(logger=dict(type='LoggerHook', interval=1))).train()
    (path,) = folder.glob('*/vis_data/scalars.json')
    return path


@pytest.fixture
def lines(log):
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.parametrize('key', ['loss', 'balance/B/left'])
def test_a_curve_has_the_values_of_the_log(log, lines, tool, tmp_path, monkeypatch, key):
    matplotlib.use('agg')
    drawn = []
    monkeypatch.setattr(pyplot, 'savefig', lambda path: drawn.extend(pyplot.gca().lines))
    tool(TOOL, 'plot_curve', log, '--keys', key, '--out', tmp_path / 'loss.png')
    pyplot.close('all')
    (curve,) = drawn
    np.testing.assert_allclose(curve.get_ydata(), [line[key] for line in lines])
    np.testing.assert_allclose(curve.get_xdata(), [line['step'] / 4 for line in lines])  # in epochs


def test_time_is_the_mean_of_the_log(log, lines, tool, capsys):
    tool(TOOL, 'cal_train_time', log)
    printed = float(re.search(r'average iter time: ([\d.]+) s/iter', capsys.readouterr().out)[1])
    assert printed == pytest.approx(np.mean([line['time'] for line in lines]), abs=1e-4)


def test_what_gives_no_plot_is_an_error(log, tool, tmp_path, capsys):
    work_dir = log.parents[2]
    for words, message in (
        (['plot_curve', log], 'Say where the plot goes: --out'),
        (['plot_curve', work_dir, '--out', 'x.png'], f"'{work_dir}' is no log"),
        (['cal_train_time', work_dir], f'In it is {log}'),
        (['plot_curve', log, '--keys', 'los', '--out', tmp_path / 'x.png'], 'Invalid key "los"'),
    ):
        with pytest.raises(SystemExit):
            tool(TOOL, *words)
        assert message in capsys.readouterr().err

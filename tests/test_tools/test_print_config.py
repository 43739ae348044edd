"""print_config.py prints a config that, written to a file, is the whole of the one that was asked for."""

import pytest
from mmengine.config import Config

from mmcggm.benchmark import KEYS
from mmcggm.engine.settings import read_config
from tests.predictor import ROOT

TOOL = 'misc/print_config.py'


def test_what_is_printed_is_the_config(tool, tmp_path, capsys):
    config = ROOT / 'configs' / 'cggm' / 'watch.py'
    tool(TOOL, config, '--cfg-options', 'train_cfg.max_epochs=3', 'optim_wrapper.balancer.lam=0.5')
    path = tmp_path / 'printed.py'
    path.write_text(capsys.readouterr().out)
    printed, read = Config.fromfile(path), read_config(config)
    assert '_base_' not in path.read_text()
    assert printed.train_cfg.max_epochs == 3 and printed.optim_wrapper.balancer.lam == 0.5
    printed.train_cfg.max_epochs = read.train_cfg.max_epochs
    printed.optim_wrapper.balancer.lam = read.optim_wrapper.balancer.lam
    assert printed.to_dict() == read.to_dict()


def test_of_a_benchmark_as_well(tool, tmp_path, capsys):
    tool(TOOL, 'benchmark/av_digits.py', '--cfg-options', 'checkpoint=last')
    path = tmp_path / 'printed.py'
    # What stands before is that mmcggm's own is taken.
    path.write_text(capsys.readouterr().out.partition('\n')[2])
    printed = read_config(path, known=KEYS)
    assert printed.checkpoint == 'last'
    expected = read_config(
        ROOT / 'configs' / 'benchmark' / 'av_digits.py', {'checkpoint': 'last'}, known=KEYS
    )
    assert printed.methods.to_dict() == expected.methods.to_dict()
    assert printed.settings.to_dict() == expected.settings.to_dict()


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (['cggm/wotch.py'], "'configs/cggm/watch.py'"),
        (['cggm/watch.py', '--cfg-options', 'trian_cfg.max_epochs=3'], 'trian_cfg'),
    ],
)
def test_what_is_not_there_is_an_error(tool, words, message, capsys):
    with pytest.raises(SystemExit):
        tool(TOOL, *words)
    assert message in capsys.readouterr().err

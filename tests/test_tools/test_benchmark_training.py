import json
import sys
from pathlib import Path

import pytest

from tests.tool import run_script

TOOL = Path(__file__).parents[2] / 'tools' / 'analysis_tools' / 'benchmark_training.py'
SMALL = """
_base_ = [{base!r}]
steps = _base_.train_pipeline
steps[{place}].update({size})
train_dataloader = dict(batch_size=2, dataset=dict(pipeline=steps))
"""


@pytest.mark.parametrize(
    ('base', 'place', 'size'),
    [
        ('cggm/brats_unet_demo.py', 1, 'size=32'),
        ('cggm/brats_unet3d_small.py', 0, 'patch_size=(32, 32, 32)'),
    ],
)
def test_figures_are_printed_and_written(
    base, place, size, brats_source, brats_store, tmp_path, monkeypatch, capsys
):
    pytest.importorskip('monai')
    config, target = tmp_path / 'small.py', tmp_path / 'figures.json'
    config.write_text(SMALL.format(base=str(TOOL.parents[2] / 'configs' / base), place=place, size=size))
    arguments = [brats_source, brats_store, '--configs', config, '--steps', 4, '--turns', 1, '--json', target]
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
    monkeypatch.chdir(tmp_path)
    assert run_script(TOOL) == 0
    figures = json.loads(target.read_text())
    printed = capsys.readouterr().out
    assert figures == json.loads(printed[printed.index('{\n') :])  # the log comes before
    found = figures[str(config)]
    times = found['median_ms']
    assert found['plain_to_monai'] == pytest.approx(times['plain'] / times['monai'])
    assert found['guided_to_plain'] == pytest.approx(times['guided'] / times['plain'])
    assert found['samples_per_s']['plain'] == pytest.approx(2e3 / times['plain'])

"""The configs of the synthetic family train, validate and test; the curve over its shares is drawn."""

import copy
import json
import math
import runpy
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmcggm.benchmark import KEYS, Benchmark
from mmcggm.benchmark.ensemble import ensemble_accuracy
from mmcggm.datasets.synthetic_information.family import InformationFamily
from mmcggm.engine.settings import read_config

ROOT = Path(__file__).parents[2]
TOOL = ROOT / 'tools' / 'analysis_tools' / 'information_curve.py'
MODALITIES = ('easy', 'hard')
CONFIGS = sorted(
    str(path.relative_to(ROOT / 'configs').with_suffix(''))
    for path in (ROOT / 'configs').glob('*/synthetic_information*.py')
    if path.parent.name != 'benchmark'
)
FEW = {f'{split}_dataloader.dataset.samples': 100 for split in ('train', 'val', 'test')}


@pytest.mark.parametrize('name', CONFIGS)
def test_trains_validates_and_tests(name, tmp_path):
    cfg = Config.fromfile(ROOT / 'configs' / f'{name}.py', format_python_code=False)
    settings = {'train_cfg.max_epochs': 2, 'default_hooks.logger.interval': 1, 'log_level': 'ERROR'}
    cfg.merge_from_dict({**FEW, **settings, 'work_dir': str(tmp_path), 'experiment_name': str(tmp_path)})
    runner = Runner.from_cfg(cfg)
    first = copy.deepcopy(runner.model.state_dict())
    runner.train()
    losses = runner.message_hub.log_scalars['train/loss'].data[0].tolist()
    assert len(losses) == 4 and all(map(math.isfinite, losses))
    learnt = {
        name
        for name in MODALITIES
        if any(
            f'encoders.{name}.' in key and not torch.equal(value, first[key])
            for key, value in runner.model.state_dict().items()
        )
    }
    assert learnt == ({cfg.model.only} if name.startswith('single/') else set(MODALITIES))
    guides = {f'{guide}/{m}' for guide in ('guide', 'guide_untrained') for m in MODALITIES}
    assert {'accuracy', *guides} <= set(runner.test())


def test_benchmark_moves_the_label_in_all_splits():
    cfg = read_config(ROOT / 'configs/benchmark/synthetic_information.py', known=KEYS)
    benchmark = Benchmark(cfg, root=ROOT)
    for run in benchmark.finals():
        share = float(run.setting.removeprefix('unique '))
        for split in ('train', 'val', 'test'):
            data = run.cfg[f'{split}_dataloader'].dataset
            assert data.shared == 1 - share and data.unique == dict.fromkeys(MODALITIES, share / 2)


def test_curve_is_drawn_from_the_runs(tmp_path, monkeypatch, capsys):
    config = tmp_path / 'small.py'
    base = str(ROOT / 'configs/benchmark/synthetic_information.py')
    config.write_text(
        f'_base_ = [{base!r}]\nseeds = [3]\n'
        "settings = dict(_delete_=True, **{'unique 0.5': _base_.settings['unique 0.5']})\n"
    )
    arguments = [config, '--work-dir', tmp_path / 'runs', '--out', tmp_path / 'curve.png']
    few = [f'{key}={value}' for key, value in {**FEW, 'train_cfg.max_epochs': 1}.items()]
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments), '--cfg-options', *few])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(TOOL), run_name='__main__')
    assert end.value.code == 0 and (tmp_path / 'curve.png').stat().st_size > 0
    found = json.loads((tmp_path / 'runs' / 'information.json').read_text())
    options = {**FEW, 'train_cfg.max_epochs': 1}
    benchmark = Benchmark(read_config(config, known=KEYS), options, ROOT)
    assert set(found['reached']) == {*benchmark.methods, 'ensemble'}
    family = InformationFamily(dict(easy=0, hard=4), 0.5, dict(easy=0.25, hard=0.25))
    assert found['best']['hard alone']['0.5'] == pytest.approx(family.best_accuracy(['hard']))
    assert found['best']['joint']['0.5'] == pytest.approx(family.best_accuracy(MODALITIES))
    assert '| 0.5 | ' in capsys.readouterr().out

    runs = benchmark.finals()
    for run in runs:  # one together with itself is itself
        reached = found['reached'][run.method]['0.5']
        assert [ensemble_accuracy([run, run], tmp_path / 'runs')] == pytest.approx(reached)
    for checkpoint in (tmp_path / 'runs' / runs[0].folder).glob('best_*'):
        checkpoint.unlink()
    with pytest.raises(FileNotFoundError, match='holds 0 checkpoints'):
        ensemble_accuracy(runs[:1], tmp_path / 'runs')

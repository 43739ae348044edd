"""linear_probe.py on planted data, in process."""

import copy
import json
import runpy
import sys
from pathlib import Path

import pytest

pytest.importorskip('sklearn')
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mmcggm.engine import BalancedRunner
from mmcggm.registry import DATASETS, MODELS
from tests.predictor import rows, write_predictor
from tests.tiny import TinyData, wrapper_config

TOOL = Path(__file__).parents[2] / 'tools' / 'analysis_tools' / 'linear_probe.py'
CONFIG = """
default_scope = 'mmcggm'
model = dict(
    type='GuidedModel',
    model=dict(type='TinyClassifier'),
    encoders=dict(left='left_encoder', right='right_encoder'),
    head='classifier',
    guide=dict(type='TinyGuide'),
    task=dict(type='ClassificationTask', target='label'),
)
collate_fn = dict(type='default_collate')
train_dataloader = dict(
    dataset=dict(type='LeftTellsAll', size=150, seed=0),
    batch_size=16,
    drop_last=True,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    collate_fn=collate_fn,
)
test_dataloader = dict(
    dataset=dict(type='LeftTellsAll', size=90, seed=1),
    batch_size=16,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    collate_fn=collate_fn,
)
"""


@DATASETS.register_module()
class LeftTellsAll(TinyData):
    """Three classes that are far apart in ``left``; ``right`` is noise."""

    def __init__(self, size: int, seed: int) -> None:
        super().__init__(size)
        generator = torch.Generator().manual_seed(seed)
        self.label = torch.randint(3, (size,), generator=generator)
        self.left = 0.1 * torch.randn(size, 4, generator=generator)
        self.left[torch.arange(size), self.label] += 3
        self.right = torch.randn(size, 4, generator=generator)


@pytest.fixture
def files(tmp_path) -> tuple[Path, Path]:
    """The config, and the checkpoint of an untrained model."""
    config, checkpoint = tmp_path / 'config.py', tmp_path / 'epoch_1.pth'
    config.write_text(CONFIG)
    torch.manual_seed(1)
    with DefaultScope.overwrite_default_scope('mmcggm'):
        model = MODELS.build(runpy.run_path(str(config))['model'])
    torch.save(dict(state_dict=model.state_dict()), checkpoint)
    return config, checkpoint


def run(monkeypatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, 'argv', [str(TOOL), *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(TOOL), run_name='__main__')
    return end.value.code


def expected_accuracy(checkpoint: Path, modality: str) -> float:
    """Return the test accuracy of a probe on the encoder's output of all data at once."""
    state = torch.load(checkpoint)['state_dict']
    weight, bias = (state[f'model.{modality}_encoder.{name}'] for name in ('weight', 'bias'))
    train, test = (
        ((getattr(data, modality) @ weight.T + bias).numpy(), data.label.numpy())
        for data in (LeftTellsAll(150, 0), LeftTellsAll(90, 1))
    )
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(*train)
    return probe.score(*test)


def test_each_modality_is_probed_on_its_whole_splits(files, tmp_path, monkeypatch, capsys):
    target = tmp_path / 'probe.json'
    assert run(monkeypatch, *files, '--device', 'cpu', '--json', target) == 0
    found = json.loads(target.read_text())
    assert found['left']['test'] == found['left']['train'] == 1 and found['right']['test'] < 0.6
    for modality in ('left', 'right'):
        assert found[modality]['test'] == pytest.approx(expected_accuracy(files[1], modality))
        assert found[modality]['channels'] == 8
    output = capsys.readouterr()
    assert output.out.splitlines()[2].startswith('left      1.0000 1.0000 1.0000 1.0000 8')
    assert 'representations, test' in output.err


def initial_weights(work_dir: Path, config: Path, checkpoint: Path, **overrides: object) -> tuple[dict, dict]:
    """Return the weights that a training begins with, and those that the tool takes for them."""
    cfg = Config.fromfile(config)
    cfg.merge_from_dict(
        dict(
            work_dir=str(work_dir),
            optim_wrapper=wrapper_config(balancer=None),
            train_cfg=dict(by_epoch=False, max_iters=2),
            test_dataloader=None,
            randomness=dict(seed=7),
            default_hooks=dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2)),
            experiment_name=work_dir.name,
            log_level='ERROR',
            **overrides,
        )
    )
    runner = BalancedRunner.from_cfg(cfg)
    runner.call_hook('before_run')
    runner._init_model_weights()
    runner.load_or_resume()
    first = copy.deepcopy(runner.model.state_dict())
    runner.train()
    trained = torch.load(work_dir / 'iter_2.pth')
    assert not torch.equal(
        trained['state_dict']['guides.left.layer.weight'], first['guides.left.layer.weight']
    )
    tool = runpy.run_path(str(TOOL), run_name='probe')
    with DefaultScope.overwrite_default_scope('mmcggm'):
        return first, tool['untrained_model'](cfg, trained, '', trust=False).state_dict()


@pytest.mark.parametrize('how', ['seed', 'load_from', 'control'])
def test_untrained_model_is_that_of_before_the_training(files, tmp_path, how):
    overrides = {
        'seed': {},
        'load_from': dict(load_from=str(files[1])),
        'control': dict(custom_hooks=[dict(type='GuideScoreHook', control=True)]),
    }[how]
    first, found = initial_weights(tmp_path / how, *files, **overrides)
    names = [name for name in first if how != 'control' or name.startswith('model.')]
    assert all(torch.equal(found[name], first[name]) for name in names)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['model.task.type=RegressionTask'], 'RegressionTask has no class a sample'),
        (['model.head=nowhere'], "no module 'nowhere'"),
    ],
)
def test_what_does_not_fit_is_an_error(files, monkeypatch, capsys, options, message):
    assert run(monkeypatch, *files, '--device', 'cpu', '--cfg-options', *options) == 1
    assert message in capsys.readouterr().err


def test_checkpoint_of_another_model_is_an_error(files, tmp_path, monkeypatch, capsys):
    torch.save(dict(state_dict={}), tmp_path / 'other.pth')
    assert run(monkeypatch, files[0], tmp_path / 'other.pth', '--device', 'cpu') == 1
    assert 'holds no weights' in capsys.readouterr().err


def test_features_are_standardised_for_the_untrained_model_as_well(tmp_path, monkeypatch):
    """Their statistics are found before a training: a checkpoint has them, a model that is built has not."""
    files, target = write_predictor(tmp_path), tmp_path / 'probe.json'
    state = files.model.state_dict()
    inputs, _ = rows('train')
    for modality, values in inputs.items():
        state[f'model.data_preprocessor.mean_{modality}'] = values.mean(0)
        state[f'model.data_preprocessor.std_{modality}'] = values.std(0)
    torch.save(dict(state_dict=state), files.checkpoint)
    options = ['--json', target, '--cfg-options', 'model.model.data_preprocessor.standardise=True']
    assert run(monkeypatch, files.config, files.checkpoint, '--device', 'cpu', *options) == 0
    found = json.loads(target.read_text())
    # Classes are a standard deviation apart: an encoder that has learnt nothing keeps much of that.
    assert set(found) == {'left', 'right'} and found['left']['untrained_train'] > 0.6

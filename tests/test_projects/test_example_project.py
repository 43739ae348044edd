"""Models that know nothing of balancing are balanced by a config alone, on synthetic data."""

import json
from pathlib import Path
from uuid import uuid4

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmcggm.balancers import CGGM

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / 'projects' / 'example_project'

# A model of someone else's, and its data: no base class, name or signature of ours.
OWN_MODEL = """
import torch
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, MODELS
from torch import nn

@MODELS.register_module()
class MoodNetwork(BaseModel):
    def __init__(self):
        super().__init__()
        self.listener = nn.GRU(3, 6, batch_first=True)
        self.reader = nn.ModuleList([nn.EmbeddingBag(10, 4), nn.Linear(4, 6), nn.ReLU()])
        self.mixer = nn.Bilinear(6, 6, 8)
        self.verdict = nn.Sequential(nn.ReLU(), nn.Linear(8, 1, bias=False))
        self.penalty = nn.SmoothL1Loss()

    def forward(self, sound, words, mood, mode='tensor'):
        heard = self.listener(sound)[0][:, -1]
        for layer in self.reader:
            words = layer(words)
        guess = self.verdict(self.mixer(heard, words)).squeeze(1)
        if mode == 'loss':
            return dict(mood_loss=self.penalty(guess, mood), size_loss=1e-3 * guess.square().mean())
        return guess

@DATASETS.register_module()
class SyntheticMoods(torch.utils.data.Dataset):
    def __len__(self):
        return 48

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        mood = torch.randn((), generator=generator)
        sound = mood + torch.randn(5, 3, generator=generator)
        words = torch.randint(0, 5, (7,), generator=generator) + 5 * (mood > 0)
        return dict(sound=sound, words=words, mood=mood)
"""
OWN_CONFIG = """
custom_imports = dict(imports=['mood_network'])
default_scope = 'mmengine'
model = dict(
    type='mmcggm.GuidedModel',
    model=dict(type='MoodNetwork'),
    encoders=dict(
        sound=dict(modules='listener', key=0),
        words=dict(
            modules=['reader.0', 'reader.1'], representation='mixer', source='input', key=1),
    ),
    head='verdict.1',
    guides=dict(sound=dict(type='mmcggm.AutoGuide', pool='last', depth=2)),
    task=dict(type='mmcggm.RegressionTask', target='mood', loss='penalty', score='{score}'),
)
train_dataloader = dict(
    dataset=dict(type='SyntheticMoods'), batch_size=8, num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True), collate_fn=dict(type='default_collate'))
train_cfg = dict(by_epoch=True, max_epochs=2)
optim_wrapper = dict(
    type='mmcggm.BalancedOptimWrapper', optimizer=dict(type='Adam', lr=1e-2), clip_grad=dict(max_norm=1.0),
    balancer=dict(type='CGGM', rho='neutral', lam=0.1, progress={progress}))
custom_hooks = [dict(type='mmcggm.BalancingHook')]
default_hooks = dict(logger=dict(type='LoggerHook', interval=1))
visualizer = dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')])
"""


@pytest.fixture
def scalings(monkeypatch) -> list[tuple[float, float]]:
    """Pairs of ρ B and the factor that an encoder's gradient changed by, of all updates."""
    seen: list[tuple[float, float]] = []
    original = CGGM.change_gradients

    def change(self):
        encoders = self.encoders
        before = [torch.cat([p.grad.flatten() for p in encoder]).double() for encoder in encoders]
        terms, rho = self.stats['B'].tolist(), len(encoders) / (len(encoders) - 1)
        original(self)
        for encoder, old, term in zip(encoders, before, terms, strict=True):
            new = torch.cat([p.grad.flatten() for p in encoder]).double()
            assert old.norm() > 0
            seen.append((rho * term, float(new @ old / (old @ old))))

    monkeypatch.setattr(CGGM, 'change_gradients', change)
    return seen


def train(tool, config: Path, work_dir: Path) -> list[dict]:
    """Train and return the logged values."""
    tool('train.py', config, '--work-dir', work_dir, '--cfg-options', f'experiment_name={uuid4().hex}')
    (scalars,) = work_dir.glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in scalars.read_text().splitlines()]


def check_balanced(logged: list[dict], scalings: list[tuple[float, float]], modalities: list[str]) -> None:
    assert logged[-1]['epoch'] == 2
    for modality in modalities:
        for name in ('B', 'score', 'cos'):
            assert all(f'balance/{name}/{modality}' in entry for entry in logged)
    scales, factors = zip(*scalings, strict=True)
    assert factors == pytest.approx(scales, rel=1e-4, abs=1e-6)
    assert len(set(scales)) > 2  # it did not stand still


@pytest.mark.parametrize(('name', 'metric'), [('segmentor', 'mDice'), ('classifier', 'accuracy/top1')])
def test_library_models(name, metric, tool, scalings, tmp_path):
    guided = PROJECT / 'configs' / f'{name}_cggm.py'
    plain = PROJECT / 'third_party' / f'{name}.py'
    check_balanced(train(tool, guided, tmp_path / 'train'), scalings, ['colour', 'depth'])

    checkpoint, stripped = tmp_path / 'train' / 'epoch_2.pth', tmp_path / 'plain.pth'
    tool('model_converters/strip_guides.py', checkpoint, stripped)
    results = []
    for config, weights in [(guided, checkpoint), (plain, stripped)]:
        work_dir = tmp_path / f'test_{weights.stem}'
        tool(
            'test.py',
            config,
            weights,
            '--work-dir',
            work_dir,
            '--cfg-options',
            f'experiment_name={uuid4().hex}',
        )
        (report,) = work_dir.glob('*/*.json')
        results.append(json.loads(report.read_text())[metric])
    assert results[0] == results[1]

    cfg = Config.fromfile(plain)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    model.load_state_dict(torch.load(stripped, weights_only=True)['state_dict'], strict=True)


@pytest.mark.parametrize(
    ('score', 'progress'),
    [
        # In so few updates nothing rises above the floor that is sensible.
        ('sign', dict(type='SmoothedProgress', floor=0.001)),
        ('negative_loss', dict(type='StepProgress')),
    ],
)
def test_model_of_ones_own(score, progress, tool, scalings, tmp_path, monkeypatch):
    (tmp_path / 'mood_network.py').write_text(OWN_MODEL)
    monkeypatch.syspath_prepend(tmp_path)
    config = tmp_path / 'config.py'
    config.write_text(OWN_CONFIG.format(score=score, progress=progress))
    check_balanced(train(tool, config, tmp_path / 'train'), scalings, ['sound', 'words'])


def test_stripping_says_what_is_wrong(tool, tmp_path, capsys):
    torch.save(dict(state_dict={}), tmp_path / 'plain.pth')
    for name, message in [('plain.pth', 'has no guides'), ('absent.pth', 'There is no checkpoint')]:
        with pytest.raises(SystemExit):
            tool('model_converters/strip_guides.py', tmp_path / name, tmp_path / 'out.pth')
        said = capsys.readouterr().err
        assert name in said and message in said
    assert [path.name for path in tmp_path.iterdir()] == ['plain.pth']


def test_models_do_not_know_of_balancing():
    files = list((PROJECT / 'third_party').glob('*.py'))
    assert files and not any('mmcggm' in path.read_text() for path in files)
    assert 'mmcggm' not in OWN_MODEL

"""The tutorial's code is run as a reader would: its files are written, tested, trained and compared."""

import importlib
import json
import runpy
from pathlib import Path
from uuid import uuid4

import pytest

pytest.importorskip('sklearn')
import torch
from mmengine.config import Config

from mmcggm.balancers import Training
from mmcggm.benchmark import Benchmark
from mmcggm.datasets.av_digits.converter import convert_folder
from tests.formats.av_digits import write_synthetic_recordings
from tests.tiny import attached, batches, build_wrapper, classifier_guided
from tests.tutorials import BLOCK, ROOT, write_files

TUTORIAL = ROOT / 'docs' / 'tutorial_new_method.md'
SMALL = (
    'model.model.backbone.encoders.audio.channels=4,8',
    'model.model.backbone.encoders.image.channels=4,8',
    'model.model.backbone.fusion.in_channels=8,8',
    'train_cfg.max_epochs=2',
    'train_dataloader.batch_size=10',
    'default_hooks.logger.interval=1',
)


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    return write_files(TUTORIAL, tmp_path_factory.mktemp('root'))


@pytest.fixture
def method(folder, monkeypatch):
    """The method's module."""
    monkeypatch.syspath_prepend(folder)
    return importlib.import_module('projects.loss_softmax.loss_softmax')


def losses_of(guided, batch) -> torch.Tensor:
    """The guides' losses (M,)."""
    guided(**batch, mode='loss')
    return torch.stack([loss.detach() for loss in guided.take_pass().guide_losses])


def test_every_block_of_code_is_a_file_and_the_method_is_short(folder):
    text = TUTORIAL.read_text(encoding='utf-8')
    names = [name for name, _ in BLOCK.findall(text)]
    assert len(names) == text.count('```python') == 4 and len(set(names)) == 4
    method = folder / 'projects' / 'loss_softmax' / 'loss_softmax.py'
    assert len(method.read_text(encoding='utf-8').splitlines()) <= 30


def test_its_test_passes_and_can_fail(folder, method, monkeypatch):
    path = str(folder / 'projects' / 'loss_softmax' / 'test_loss_softmax.py')
    tests = [value for name, value in runpy.run_path(path).items() if name.startswith('test_')]
    assert len(tests) == 3
    for test in tests:
        test()
    monkeypatch.setattr(method.LossSoftmax, 'state_dict', lambda self: {})
    monkeypatch.setattr(
        Training, 'over_processes', lambda self, sums, mean: sums + torch.arange(sums.shape[1])
    )
    for test in tests:
        with pytest.raises(AssertionError):
            test()


def test_the_real_training_scales_gradients_by_the_factors_that_it_logs(
    folder, method, tool, tmp_path, monkeypatch
):
    data = tmp_path / 'data'
    convert_folder(write_synthetic_recordings(tmp_path / 'recordings', speakers=['theo']), data)
    found: list[float] = []  # of audio, image, audio, ...
    original = method.LossSoftmax.change_gradients

    def change(self):
        before = [torch.cat([p.grad.flatten() for p in encoder]) for encoder in self.encoders]
        original(self)
        expected = 2 * (self.stats['loss'] / 0.5).softmax(0)
        torch.testing.assert_close(self.stats['factor'], expected)
        for encoder, old in zip(self.encoders, before, strict=True):
            new = torch.cat([p.grad.flatten() for p in encoder])
            found.append(float(new @ old / (old @ old)))
            torch.testing.assert_close(new, found[-1] * old)

    monkeypatch.setattr(method.LossSoftmax, 'change_gradients', change)
    work_dir = tmp_path / 'work'
    roots = [f'{split}_dataloader.dataset.data_root={data}' for split in ('train', 'val', 'test')]
    options = ['--cfg-options', *SMALL, *roots, f'experiment_name={uuid4().hex}']
    tool('train.py', folder / 'projects/loss_softmax/av_digits.py', '--work-dir', work_dir, *options)

    (scalars,) = work_dir.glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in scalars.read_text().splitlines()]
    logged = [line for line in lines if 'balance/factor/audio' in line]
    assert len(logged) == 4 and len(found) == 8
    for index, line in enumerate(logged):
        factors = [line[f'balance/factor/{modality}'] for modality in ('audio', 'image')]
        assert factors == pytest.approx(found[2 * index : 2 * index + 2], abs=1e-3)
        assert sum(factors) == pytest.approx(2, abs=1e-3)
    assert max(found) > 1.005  # the modalities did differ
    checkpoint = torch.load(work_dir / 'epoch_2.pth', weights_only=False)
    assert checkpoint['optimizer']['balancer']['state']['means'].shape == (2, 2)


@pytest.mark.parametrize('parts', ['micro-batches', 'processes'])
def test_parts_of_a_batch_count_as_the_whole(method, monkeypatch, parts):
    guided, (first, second) = classifier_guided(), batches(2)
    losses = torch.stack([losses_of(guided, batch) for batch in (first, second)])
    expected = 2 * losses.mean(0).softmax(0)
    settings = dict(balancer=dict(type='LossSoftmax'))
    if parts == 'processes':  # the other one's sums arrive by the all-reduce
        other = torch.stack([losses[1], torch.ones(2)])
        monkeypatch.setattr(Training, 'over_processes', lambda self, sums, mean: sums + other)
        wrapper, data = build_wrapper(guided, **settings), [first]
    else:
        wrapper, data = build_wrapper(guided, **settings, accumulative_counts=2), [first, second]
    for batch in data:
        guided.train_step(batch, wrapper)
    torch.testing.assert_close(wrapper.balancer.stats['factor'], expected)


def test_a_skipped_update_leaves_no_trace_and_an_inactive_one_no_change(method):
    guided, (batch,) = classifier_guided(), batches(1)
    balancer = attached(method.LossSoftmax(), guided)
    for overflow, active in ((None, True), (torch.tensor(1.0), True), (None, False)):
        before = balancer.means
        guided(**batch, mode='loss')
        balancer.active = active
        balancer.see(guided.take_pass())
        for parameter in guided.parameters():
            parameter.grad = torch.ones_like(parameter)
        balancer.finish_update(overflow)
        encoders = guided.encoder_parameters()
        scaled = any(not torch.equal(p.grad, torch.ones_like(p)) for encoder in encoders for p in encoder)
        assert scaled == active
        assert torch.equal(before, balancer.means) == (overflow is not None)


def test_the_benchmark_compares_it(folder, method):
    path = folder / 'projects' / 'loss_softmax' / 'benchmark_av_digits.py'
    benchmark = Benchmark(Config.fromfile(path), root=folder)
    own = [run for run in benchmark.finals() if run.method == 'loss softmax']
    assert len(own) == 10 and benchmark.baseline == 'joint' and 'CGGM' in benchmark.methods
    for run in own:
        assert run.cfg.optim_wrapper.balancer.to_dict() == dict(type='LossSoftmax', temperature=0.5)

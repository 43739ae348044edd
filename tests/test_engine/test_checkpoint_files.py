"""Checkpoints are written whole or not at all, the older ones go last, and the newest whole one is found."""

import logging
import os
import re
import resource
import shutil
import signal
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from mmcggm.engine import CheckpointHook
from mmcggm.engine.checkpoint_files import newest_checkpoint
from mmcggm.utils.atomic import temporary_path
from tests.faults.trainings import begin_training
from tests.test_utils.test_atomic import NOBODY
from tests.tiny import Accuracy, evaluating_runner, tiny_runner, wrapper_config

EVERY_EPOCH = dict(type='CheckpointHook', interval=1)


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A work_dir with four checkpoints, not to be changed."""
    folder = tmp_path_factory.mktemp('trained')
    tiny_runner(folder, max_epochs=4).train()
    return folder


@pytest.fixture
def work_dir(trained, tmp_path):
    return Path(shutil.copytree(trained, tmp_path / 'work_dir'))


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path) -> None:
    """Change a bit of the largest tensor."""
    with zipfile.ZipFile(path) as archive:
        tensors = (part for part in archive.infolist() if '/data/' in part.filename)
        largest = max(tensors, key=lambda part: part.file_size)
    content = bytearray(path.read_bytes())
    name, extra = (int.from_bytes(content[largest.header_offset + i :][:2], 'little') for i in (26, 28))
    content[largest.header_offset + 30 + name + extra + largest.file_size // 2] ^= 1
    path.write_bytes(content)


def strip(path: Path, *keys: str) -> None:
    checkpoint = torch.load(path, weights_only=True)
    torch.save({key: value for key, value in checkpoint.items() if key not in keys}, path)


BROKEN = {
    'cut': (cut, 'not a whole checkpoint'),
    'empty': (lambda path: path.write_bytes(b''), 'is empty'),
    'text': (lambda path: path.write_text('no such page'), 'not a whole checkpoint'),
    'bit': (flip, "is damaged: '.*' in it differs from its checksum"),
    'optimizer': (lambda path: strip(path, 'optimizer'), "without the training's optimizer"),
    'meta': (lambda path: strip(path, 'message_hub', 'meta'), "without the training's meta, message_hub"),
    'other': (lambda path: torch.save([1, 2], path), 'holds a list'),
    'code': (lambda path: torch.save(dict(meta=Path('a')), path), 'asks for .*, which is more than weights'),
}


@pytest.mark.parametrize('fault', BROKEN)
def test_what_is_not_whole_is_passed_over_and_named(work_dir, fault):
    damage, said = BROKEN[fault]
    damage(work_dir / 'epoch_4.pth')
    path, passed_over = newest_checkpoint(work_dir)
    assert path == work_dir / 'epoch_3.pth' and len(passed_over) == 1
    assert re.search(f"epoch_4.pth'.*{said}", passed_over[0]), passed_over[0]


def test_the_newest_is_told_by_what_it_says_not_by_name_clock_or_last_checkpoint(work_dir):
    (work_dir / 'epoch_4.pth').rename(work_dir / 'a.pth')
    os.utime(work_dir / 'a.pth', (0, 0))
    (work_dir / 'last_checkpoint').write_text(str(work_dir / 'epoch_1.pth'))
    shutil.copy(work_dir / 'epoch_2.pth', work_dir / 'best_accuracy_epoch_9.pth')
    assert newest_checkpoint(work_dir) == (work_dir / 'a.pth', [])


def test_a_longer_training_from_before_is_not_gone_on_with(work_dir):
    for number, time in ((1, '20300101_000000'), (4, '20200101_000000')):
        path = work_dir / f'epoch_{number}.pth'
        checkpoint = torch.load(path, weights_only=False)
        checkpoint['meta']['time'] = time
        torch.save(checkpoint, path)
    assert newest_checkpoint(work_dir).path == work_dir / 'epoch_1.pth'


def test_a_training_that_begins_anew_in_a_used_folder_says_so(work_dir):
    runner = tiny_runner(work_dir, max_epochs=1)
    with said(runner) as lines:
        runner.train()
    assert any('holds checkpoints of an earlier training (epoch_1.pth' in line for line in lines)


def test_a_finished_training_says_that_nothing_is_left(work_dir):
    runner = tiny_runner(work_dir, max_epochs=4, resume=True)
    with said(runner) as lines:
        runner.train()
    assert any('so nothing is left to train' in line for line in lines)


def test_settings_that_the_checkpoint_decides_are_named(tmp_path):
    def train(epochs: int, lr: float, **settings) -> list[str]:
        schedule = dict(type='CosineAnnealingLR', T_max=epochs, end=epochs)
        wrapper = wrapper_config(optimizer=dict(type='SGD', lr=lr, momentum=0.9))
        runner = tiny_runner(
            tmp_path, max_epochs=epochs, optim_wrapper=wrapper, param_scheduler=[schedule], **settings
        )
        with said(runner) as lines:
            runner.train()
        return [line for line in lines if 'the checkpoint decides' in line]

    train(2, 0.1)
    assert not train(2, 0.1, resume=True)
    lines = train(4, 0.05, resume=True)
    assert any('`lr` of SGD is 0.1 in the checkpoint, 0.05 in the config' in line for line in lines)
    assert any('`T_max` of CosineAnnealingLR is 2 in the checkpoint, 4' in line for line in lines)


@pytest.mark.parametrize(
    ('setting', 'message'),
    [
        (dict(intervall=2), r"`default_hooks.checkpoint.intervall`.*Did you mean 'interval'"),
        (dict(interval=1, save_best='acuracy', rule='greater'), r"no metric 'acuracy'; it has accuracy"),
    ],
)
def test_misspelt_settings_of_the_hook_are_named(tmp_path, setting, message):
    hooks = dict(checkpoint=dict(type='CheckpointHook', **setting))
    with pytest.raises(ValueError, match=message):
        evaluating_runner(tmp_path, max_epochs=1, default_hooks=hooks).train()


@pytest.mark.parametrize(
    ('metric', 'rule'),
    [('Dice_mean', 'greater'), ('SliceDice_WT', 'greater'), ('HD95_ET', 'less'), ('micro_F1', 'greater')],
)
def test_metrics_of_this_package_say_which_is_better(metric, rule):
    assert CheckpointHook(save_best=metric).rules == [rule]


def test_a_validation_that_gives_no_number_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(Improving, 'compute_metrics', lambda self, results: dict(Dice_ET=float('nan')))
    checkpoint = dict(**EVERY_EPOCH, save_best='Dice_ET')
    settings = dict(default_hooks=dict(checkpoint=checkpoint, logger=None), val_evaluator=[Improving()])
    runner = evaluating_runner(tmp_path, max_epochs=1, **settings)
    with said(runner) as lines:
        runner.train()
    assert any("The validation's Dice_ET is not a number" in line for line in lines)
    assert not list(tmp_path.glob('best*'))


def test_a_folder_of_their_own_is_found_by_last_checkpoint(trained, tmp_path):
    (tmp_path / 'last_checkpoint').write_text(str(trained / 'epoch_1.pth'))
    assert newest_checkpoint(tmp_path).path == trained / 'epoch_4.pth'


def test_resuming_says_what_it_passes_over_and_goes_on(work_dir, caplog):
    cut(work_dir / 'epoch_4.pth')
    runner = tiny_runner(work_dir, max_epochs=5, resume=True, log_level='WARNING')
    with said(runner) as lines:
        runner.train()
    assert any('Resuming passes over' in line and 'epoch_4.pth' in line for line in lines)
    assert runner.epoch == 5 and newest_checkpoint(work_dir) == (work_dir / 'epoch_5.pth', [])


def test_resuming_from_nothing_begins_and_says_so(tmp_path):
    runner = tiny_runner(tmp_path, max_epochs=1, resume=True, log_level='WARNING')
    with said(runner) as lines:
        runner.train()
    assert any('no checkpoint' in line and 'begins at its start' in line for line in lines)
    assert runner.epoch == 1


def test_resuming_from_broken_ones_alone_is_an_error(work_dir):
    for path in work_dir.glob('*.pth'):
        cut(path)
    with pytest.raises(ValueError, match=r'can be resumed from. .*epoch_1.*epoch_4.*--resume PATH'):
        tiny_runner(work_dir, max_epochs=5, resume=True).train()


@contextmanager
def said(runner) -> Iterator[list[str]]:
    """Collect what a runner logs."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    runner.logger.addHandler(handler)
    yield lines
    runner.logger.removeHandler(handler)


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Let no file grow beyond a size; the system says so as it says that a disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_one_sentence_and_the_old_checkpoint_stays(trained, tmp_path):
    size = (trained / 'epoch_1.pth').stat().st_size
    hooks = dict(checkpoint=dict(**EVERY_EPOCH, max_keep_ckpts=1), logger=None)
    tiny_runner(tmp_path, max_epochs=1, default_hooks=hooks).train()
    with full_disk(size // 2), pytest.raises(OSError) as error:
        tiny_runner(tmp_path, max_epochs=2, default_hooks=hooks, resume=True).train()
    message = str(error.value)
    assert message.startswith(f"The checkpoint '{tmp_path / 'epoch_2.pth'}' could not be written: ")
    assert 'Those that were saved before it are as they were' in message and '\n' not in message
    assert [path.name for path in tmp_path.glob('*.pth')] == ['epoch_1.pth']
    assert not list(tmp_path.glob('.tmp-*'))
    runner = tiny_runner(tmp_path, max_epochs=2, default_hooks=hooks, resume=True)
    runner.train()
    assert [path.name for path in tmp_path.glob('*.pth')] == ['epoch_2.pth']


@pytest.mark.parametrize('moment', ['write', 'replace', 'remove'])
def test_there_is_always_a_whole_checkpoint(tmp_path, monkeypatch, moment):
    """With one that is kept, ended at each moment of saving the second."""
    hooks = dict(checkpoint=dict(**EVERY_EPOCH, max_keep_ckpts=1), logger=None)
    tiny_runner(tmp_path, max_epochs=1, default_hooks=hooks).train()

    def end(*args, **kwargs):
        raise KeyboardInterrupt

    place = {'write': (torch, 'save'), 'replace': (os, 'replace'), 'remove': (os, 'remove')}[moment]
    monkeypatch.setattr(*place, end)
    with pytest.raises(KeyboardInterrupt):
        tiny_runner(tmp_path, max_epochs=2, default_hooks=hooks, resume=True).train()
    monkeypatch.undo()
    epoch = 2 if moment == 'remove' else 1
    assert newest_checkpoint(tmp_path) == (tmp_path / f'epoch_{epoch}.pth', [])
    tiny_runner(tmp_path, max_epochs=3, default_hooks=hooks, resume=True).train()
    assert [path.name for path in tmp_path.glob('*.pth')] == ['epoch_3.pth']


class Improving(Accuracy):
    """An accuracy that rises from validation to validation."""

    value = 0.0

    def compute_metrics(self, results):
        Improving.value += 0.1
        return dict(accuracy=Improving.value, other=1 - Improving.value)


@pytest.mark.parametrize('best', ['accuracy', ['accuracy', 'other'], 'auto'])
def test_the_best_one_is_there_until_a_better_is_written(tmp_path, monkeypatch, best):
    checkpoint = dict(**EVERY_EPOCH, max_keep_ckpts=1, save_best=best, rule='greater')
    settings = dict(default_hooks=dict(checkpoint=checkpoint, logger=None), val_evaluator=[Improving()])
    monkeypatch.setattr(Improving, 'value', 0.0)
    runner = evaluating_runner(tmp_path, max_epochs=3, **settings)
    there: list[set[str]] = []
    save = runner.save_checkpoint

    def watch(*args, **kwargs):
        save(*args, **kwargs)
        there.append({path.name for path in tmp_path.glob('*.pth')})

    runner.save_checkpoint = watch
    runner.train()
    bests = [{name for name in names if name.startswith('best_accuracy')} for names in there]
    assert {'best_accuracy_epoch_1.pth', 'best_accuracy_epoch_2.pth'} in bests  # both, for a moment
    left = {path.name for path in tmp_path.glob('*.pth')}
    others = {'best_other_epoch_1.pth'} if isinstance(best, list) else set()
    assert left == {'best_accuracy_epoch_3.pth', 'epoch_3.pth'} | others


def test_leftovers_of_a_kill_are_removed_by_the_next_training(tmp_path):
    leftover = temporary_path(tmp_path / 'epoch_1.pth', NOBODY)
    leftover.write_bytes(b'half')
    begin_training(tmp_path, 100, []).train()
    assert not leftover.exists()

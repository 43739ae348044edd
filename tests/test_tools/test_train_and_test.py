"""The launchers, end to end on small synthetic cases: train, resume, mixed precision, two processes, test."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

ROOT = Path(__file__).parents[2]
CONFIG = """
_base_ = ['{root}/configs/cggm/brats_unet_demo.py']
data_root = '{store}'
channels = (4, 6, 8)
model = dict(
    model=dict(
        backbone=dict(
            encoder=dict(channels=channels), fusion=dict(in_channels=channels, out_channels=channels)
        ),
        decode_head=dict(in_channels=channels),
    ),
    guide=dict(head=dict(in_channels=channels[1:], in_index=[1, 2], channels=channels[0])),
)
train_pipeline = [
    dict(type='LoadBraTSSlice'), dict(type='CenterCropOrPad', size=32), dict(type='PackMultimodalInputs')]
data = dict(data_root=data_root, split=['train', 'val', 'test'])
slices = dict(sample='random_tumour_slice', background=0.0)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline, **slices, **data))
val_dataloader = dict(dataset=data)
test_dataloader = dict(dataset=data)
train_cfg = dict(max_epochs=2, val_interval=2)
default_hooks = dict(logger=dict(interval=1))
optim_wrapper = dict(balancer=dict(lam=0.1))
"""


def run(*command: str) -> str:
    environment = {
        **os.environ,
        'OMP_NUM_THREADS': '1',
        'PATH': f'{Path(sys.executable).parent}:{os.environ["PATH"]}',
    }
    result = subprocess.run(
        [str(c) for c in command], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-3000:] + result.stdout[-1000:]
    return result.stdout + result.stderr


def scalars(work_dir: Path) -> list[dict]:
    """Return the training scalars of the newest run."""
    newest = max(work_dir.glob('*/vis_data/scalars.json'))
    return [r for line in newest.read_text().splitlines() if 'balance/B/t1' in (r := json.loads(line))]


@pytest.fixture(scope='module')
def config(brats_store, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp('config') / 'tiny.py'
    path.write_text(CONFIG.format(root=ROOT, store=brats_store))
    return path


@pytest.fixture(scope='module')
def trained(config, tmp_path_factory) -> Path:
    """The work_dir of a training of two epochs."""
    work_dir = tmp_path_factory.mktemp('work')
    run(sys.executable, 'tools/train.py', config, '--work-dir', work_dir)
    for name in (config.name, 'epoch_2.pth'):  # before others train there
        (work_dir / 'kept').mkdir(exist_ok=True)
        shutil.copy(work_dir / name, work_dir / 'kept')
    return work_dir


def test_training_logs_balance_and_metrics(trained):
    assert len(scalars(trained)) == 2 and (trained / 'epoch_2.pth').exists()
    log = next(trained.glob('*/*.log')).read_text()
    assert 'balance/cos/flair' in log and 'Dice_WT' in log and '|     WT |' in log


def test_resume_goes_on_with_mixed_precision(trained, config):
    options = ('--resume', '--amp', '--cfg-options', 'train_cfg.max_epochs=3', 'train_cfg.val_interval=3')
    log = run(sys.executable, 'tools/train.py', config, '--work-dir', trained, *options)
    records = scalars(trained)
    assert 'resumed epoch: 2' in log and 'Epoch(train) [3]' in log and 'Epoch(train) [2]' not in log
    assert len(records) == 1 and {f'balance/B/{m}' for m in ('flair', 't1ce', 't1', 't2')} < set(records[0])


def test_a_training_goes_on_with_the_copy_of_its_config(trained, tmp_path):
    kept = trained / 'kept'
    resume = ('--work-dir', tmp_path, '--resume', trained / 'epoch_1.pth')
    assert 'resumed epoch: 1' in run(sys.executable, 'tools/train.py', kept / 'tiny.py', *resume)
    whole, resumed = (
        torch.load(folder / 'epoch_2.pth', weights_only=True)['state_dict'] for folder in (kept, tmp_path)
    )
    assert list(whole) == list(resumed)
    assert all(torch.equal(value, resumed[name]) for name, value in whole.items())


def test_two_processes_train_and_test(config, tmp_path):
    run('bash', 'tools/dist_train.sh', config, '2', '--work-dir', tmp_path)
    assert (tmp_path / 'epoch_2.pth').exists() and scalars(tmp_path)
    log = run(
        'bash',
        'tools/dist_test.sh',
        config,
        tmp_path / 'epoch_1.pth',
        tmp_path / 'epoch_2.pth',
        '2',
        '--work-dir',
        tmp_path,
    )
    assert 'over 4 cases' in log


def test_segmentations_have_the_sources_geometry_and_labels(trained, config, brats_source, tmp_path):
    out = tmp_path / 'out'
    run(
        sys.executable, 'tools/test.py', config, trained / 'epoch_2.pth', '--work-dir', tmp_path, '--out', out
    )
    assert {p.name.removesuffix('.nii.gz') for p in out.iterdir()} == {
        'BraTS2021_00001', 'BraTS2021_00002', 'BraTS-GLI-00003-000', 'BraTS-GLI-00003-001'
    }  # fmt: skip
    for path in out.iterdir():
        (source,) = brats_source.rglob(f'{path.name.removesuffix(".nii.gz")}[-_]seg.nii*')
        found, expected = nib.load(path), nib.load(source)
        assert found.shape == expected.shape and np.array_equal(found.affine, expected.affine)
        assert found.get_data_dtype() == expected.get_data_dtype()
        et = 4 if '2021' in path.name else 3
        assert set(np.unique(np.asarray(found.dataobj))) <= {0, 1, 2, et}


def test_unlabelled_cases_are_segmented_without_metrics(trained, config, tmp_path):
    options = (
        '--format-only',
        '--out',
        tmp_path / 'out',
        '--cfg-options',
        'test_dataloader.dataset.split=unlabelled',
    )
    log = run(
        sys.executable, 'tools/test.py', config, trained / 'epoch_2.pth', '--work-dir', tmp_path, *options
    )
    assert [p.name for p in (tmp_path / 'out').iterdir()] == [
        'BraTS-GLI-00004-000.nii.gz'
    ] and 'HD95' not in log


def test_format_only_needs_a_folder(config):
    result = subprocess.run(
        [sys.executable, 'tools/test.py', str(config), 'none.pth', '--format-only'],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert result.returncode != 0 and '--format-only needs --out DIR' in result.stderr

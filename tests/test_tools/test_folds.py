"""tools/folds.py end to end: two folds of a tiny network are trained, go on after a kill, and predict."""

import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

pytest.importorskip('panoptica')

from mmcggm.benchmark.run import run_in_process
from tests.tool import run_script

ROOT = Path(__file__).parents[2]
CONFIG = """
_base_ = ['{root}/configs/cggm/brats_unet_demo.py']
channels = (6, 8)
network = dict(in_channels=channels)
model = dict(
    model=dict(
        backbone=dict(encoder=dict(channels=channels), fusion=dict(out_channels=channels, **network)),
        decode_head=network,
    ),
    guide=dict(head=dict(in_channels=channels[1:], in_index=[1], channels=6)),
)
data = dict(dataset=dict(data_root='{store}'))
pipeline = [
    dict(type='LoadBraTSSlice'),
    dict(type='CenterCropOrPad', size=32),
    dict(type='PackMultimodalInputs'),
]
train_dataloader = dict(batch_size=2, dataset=dict(pipeline=pipeline, **data['dataset']))
val_dataloader = data
test_dataloader = data
optim_wrapper = dict(optimizer=dict(_delete_=True, type='Adam', lr=0.03))
param_scheduler = []
train_cfg = dict(max_epochs=4)
"""


class HereEngine:
    """Trains in this process; the benchmark's tests try the others."""

    def prepare(self, folder: Path) -> None:
        pass

    def run(self, folder: Path, fingerprint: str, checkpoint: str | None) -> str:
        run_in_process(folder, fingerprint, checkpoint)
        return 'it ended'

    def close(self) -> None:
        pass


@pytest.fixture
def call(brats_store, tmp_path, monkeypatch, capsys):
    """Return a function that runs the tool and returns its exit status and output."""
    monkeypatch.setattr('mmcggm.benchmark.pool.LocalEngine', HereEngine)
    monkeypatch.setattr('mmcggm.benchmark.run.redirect_output', lambda path, append: None)
    (tmp_path / 'tiny.py').write_text(CONFIG.format(root=ROOT, store=brats_store))
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()

    def run(*flags: str) -> tuple[int, str]:
        monkeypatch.setattr(
            sys, 'argv', ['folds.py', 'tiny.py', '--folds', '2', '--work-dir', 'work', *flags]
        )
        status = run_script(ROOT / 'tools' / 'folds.py')
        return status, ''.join(capsys.readouterr())

    yield run
    torch.set_num_threads(threads)


def test_two_folds_after_a_kill_are_those_without_one(call, tmp_path, brats_store):
    status, output = call()
    assert status == 0 and '| all | 4 |' in output
    work = tmp_path / 'work'
    names = ['table.csv', 'cases.csv', 'fold_1/cases.csv']
    before = {name: (work / name).read_text() for name in names}
    volumes = {path.name: np.asanyarray(nib.load(path).dataobj) for path in work.glob('segmentations/*')}
    assert len(volumes) == 4 and sum(volume.any() for volume in volumes.values()) > 0

    # As a kill in the second of four epochs of fold 1 leaves it.
    finished = (work / 'fold_0' / 'result.json').stat().st_mtime_ns
    tested = json.loads((work / 'fold_1' / 'result.json').read_text())['metrics']
    for name in ('result.json', 'cases.csv', 'epoch_3.pth', 'epoch_4.pth'):
        (work / 'fold_1' / name).unlink()
    for case in json.loads((work / 'splits' / 'fold_1.json').read_text())['test']:
        (work / 'segmentations' / f'{case}.nii.gz').unlink()
    status, output = call()
    assert status == 0 and 'resumed epoch: 2' in output and 'Epoch(train) [2]' not in output
    assert (work / 'fold_0' / 'result.json').stat().st_mtime_ns == finished
    result = json.loads((work / 'fold_1' / 'result.json').read_text())
    assert result['metrics'] == tested and result['resumed']
    assert {name: (work / name).read_text() for name in names} == before
    for name, volume in volumes.items():
        np.testing.assert_array_equal(nib.load(work / 'segmentations' / name).dataobj, volume)


def test_refusals_are_sentences(call):
    status, output = call('--folds', '9')
    assert status == 1 and 'Error: --folds is 9, but the 4 labelled cases are of 3 patients' in output
    status, output = call('--engine-options', 'cluster=local')
    assert status == 2 and '--engine-options are of --engine submitit' in output

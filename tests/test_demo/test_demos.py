"""Each script in ``demo/`` runs, on less data where its own takes minutes."""

import runpy
from pathlib import Path

import pytest
from mmengine.registry import DefaultScope

from mmcggm.datasets.brats import phantom_writer
from mmcggm.engine import settings
from tests.synthetic import write_synthetic_case

DEMO = Path(__file__).parents[2] / 'demo'


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(DefaultScope, '_instance_dict', DefaultScope._instance_dict.copy())
    monkeypatch.chdir(tmp_path)


def run(name: str, capsys) -> str:
    runpy.run_path(str(DEMO / f'{name}.py'), run_name='__main__')
    return capsys.readouterr().out.splitlines()[-1]


def test_there_is_a_test_of_each():
    assert {path.stem for path in DEMO.glob('*')} == {
        'classification',
        'plain_loop',
        'regression',
        'segmentation',
    }


def test_plain_loop(capsys):
    said = run('plain_loop', capsys)
    assert float(said.partition('%')[0].rpartition(' ')[2]) > 80 and 'B/upper' in said


def test_classification(capsys):
    assert eval(run('classification', capsys))['accuracy'] > 0.8


def test_regression(capsys):
    assert eval(run('regression', capsys))['MAE'] < 0.75  # the median alone has 0.8


def test_segmentation(capsys, monkeypatch):
    pytest.importorskip('h5py')
    pytest.importorskip('panoptica')

    def write_small(dst: Path, cases: int, **_) -> None:
        for number in range(4):
            write_synthetic_case(dst, f'BraTSPhantom_{number:05d}', shape=(32, 32, 16), seed=number)

    read = settings.read_config
    less = {
        'train_cfg.max_epochs': 1,
        'train_cfg.val_interval': 1,
        'train_dataloader.dataset.sample': 'random_tumour_slice',
        'train_dataloader.dataset.background': 0.0,
    }
    monkeypatch.setattr(phantom_writer, 'write_phantoms', write_small)
    monkeypatch.setattr(settings, 'read_config', lambda path: read(path, less))
    assert set(eval(run('segmentation', capsys))) >= {'Dice_WT', 'Dice_TC', 'Dice_ET', 'Dice_mean'}

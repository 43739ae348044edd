"""The tutorial's code is run as a reader would: its files are written, trained and tested."""

import json
from pathlib import Path
from uuid import uuid4

import pytest

pytest.importorskip('sklearn')
from tests.tutorials import BLOCK, ROOT, write_files

TUTORIAL = ROOT / 'docs' / 'tutorial_new_data_set.md'


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    return write_files(TUTORIAL, tmp_path_factory.mktemp('root'))


def test_every_block_of_code_is_a_file():
    text = TUTORIAL.read_text(encoding='utf-8')
    assert len(BLOCK.findall(text)) == text.count('```python') == 3


def test_it_trains_balanced_and_is_tested(folder, tool, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(folder)
    config = folder / 'projects' / 'cells' / 'cggm.py'
    names = ['--cfg-options', f'experiment_name={uuid4().hex}']
    tool('train.py', config, '--work-dir', tmp_path / 'train', *names)
    (scalars,) = (tmp_path / 'train').glob('*/vis_data/scalars.json')
    logged = [json.loads(line) for line in scalars.read_text().splitlines()]
    assert any({'balance/B/mean', 'balance/B/error', 'balance/B/worst'} <= set(line) for line in logged)

    names = ['--cfg-options', f'experiment_name={uuid4().hex}']
    tool('test.py', config, tmp_path / 'train' / 'epoch_10.pth', '--work-dir', tmp_path / 'test', *names)
    (found,) = (tmp_path / 'test').glob('*/*.json')
    metrics = json.loads(found.read_text())
    assert metrics['accuracy'] > 0.85 and {'guide/mean', 'guide/error', 'guide/worst'} <= set(metrics)

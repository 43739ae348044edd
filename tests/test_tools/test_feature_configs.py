"""Files of every kind train, validate, test and resume by a config of at most 25 lines."""

import pickle
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
import torch

from tests.formats.features import arrays, write, write_tables
from tests.tool import run_script

ROOT = Path(__file__).parents[2]
HEAD = """
_base_ = ['{root}/configs/_base_/guided/features_{task}.py']
features = dict(
    data_root='{folder}',
{data}
)
train_dataloader = dict(dataset=features)
val_dataloader = dict(dataset=features)
test_dataloader = dict(dataset=features)
model = dict(model=dict(backbone=dict(in_channels=dict({channels})), outputs={outputs}))
train_cfg = dict(max_epochs=2)
"""
WIDTHS = 'left=5, right=3'


def tables(folder):
    write_tables(folder)
    return """
    inputs=dict(left='left_{split}.csv', right='right_{split}.csv'),
    labels='label_{split}.csv',
    classes=3,
"""


def archive(folder):
    write(folder / 'all.npz', arrays())
    return """
    inputs=dict(left='all.npz:left', right='all.npz:right'),
    labels='all.npz:label',
    splits='all.npz:split',
    classes=('walk', 'run', 'sit') and 3,
"""


def matlab(folder):
    views = np.empty((2, 1), object)
    content = arrays()
    views[0, 0], views[1, 0] = content['left'], content['right']
    write(folder / 'views.mat', dict(X=views, Y=content['label'][:, None] + 1))
    return """
    inputs=dict(left='views.mat:X/0', right='views.mat:X/1'),
    labels='views.mat:Y',
    classes=(1, 2, 3),
    splits=dict(train=0.6, val=0.2, test=0.2),
"""


def folder_with_subjects(folder):
    for name, values in arrays().items():
        np.save(folder / f'{name}.npy', values)
    return """
    inputs=dict(left='left.npy', right='right.npy'),
    labels='label.npy',
    classes=3,
    groups='subject.npy',
    splits=dict(train=0.6, val=0.2, test=0.2),
"""


def torch_file(folder):
    content = arrays()
    rows = {f'rows_{s}': np.flatnonzero(content['split'] == s) for s in ('train', 'val', 'test')}
    write(folder / 'all.pt', {**content, **rows})
    return """
    inputs=dict(left='all.pt:left', right='all.pt:right'),
    labels='all.pt:label',
    classes=3,
    splits='all.pt:rows_{split}',
"""


def tensors(folder):
    write(folder / 'all.safetensors', arrays())
    return """
    inputs=dict(left='all.safetensors:left', right='all.safetensors:right'),
    labels='all.safetensors:label',
    classes=3,
    splits=dict(train=0.6, val=0.2, test=0.2),
"""


def regression(folder):
    """17 targets, from a pickle of a tuple."""
    content = arrays()
    targets = content['left'] @ np.random.default_rng(1).normal(size=(5, 17))
    (folder / 'all.pkl').write_bytes(
        pickle.dumps((content['left'], content['right'], targets, content['split']))
    )
    return """
    inputs=dict(left='all.pkl:0', right='all.pkl:1'),
    labels='all.pkl:2',
    splits='all.pkl:3',
    target='regression',
"""


def multilabel(folder):
    content = arrays()
    content['labels'] = np.stack([content['left'][:, :4] > 1, content['left'][:, :4] > 2], 2).reshape(60, 8)
    write(folder / 'all.h5', {**content, 'labels': content['labels'].astype(np.int8)})
    return """
    inputs=dict(left='all.h5:left', right='all.h5:right'),
    labels='all.h5:labels',
    splits='all.h5:split',
    target='multilabel',
"""


def dialogues(folder):
    """Twelve conversations of up to five utterances, three and two of them in validation and test."""
    content = arrays()
    mask = np.arange(5) < np.random.default_rng(0).integers(2, 6, 12)[:, None]
    by_dialogue = {
        name: content[name].reshape(12, 5, *content[name].shape[1:]) for name in ('left', 'right', 'label')
    }
    write(folder / 'all.npz', {**by_dialogue, 'mask': mask})
    return """
    inputs=dict(left='all.npz:left', right='all.npz:right'),
    labels='all.npz:label',
    classes=3,
    dialogues='all.npz:mask',
    splits=dict(train=0.6, val=0.2, test=0.2),
"""


KINDS = dict(
    tables=(tables, 'classification', 3),
    npz=(archive, 'classification', 3),
    mat=(matlab, 'classification', 3),
    npy_with_subjects=(folder_with_subjects, 'classification', 3),
    torch=(torch_file, 'classification', 3),
    safetensors=(tensors, 'classification', 3),
    regression_from_a_pickle=(regression, 'regression', 17),
    multilabel_from_h5=(multilabel, 'multilabel', 8),
    dialogues=(dialogues, 'classification', 3),
)


def config(folder: Path, kind: str) -> Path:
    fill, task, outputs = KINDS[kind]
    text = HEAD.format(
        root=ROOT, folder=folder, task=task, outputs=outputs, channels=WIDTHS, data=fill(folder).strip('\n')
    )
    path = folder / 'config.py'
    path.write_text(text)
    return path


def run(monkeypatch, tool: str, *arguments: object, options: Sequence[str] = ()) -> int:
    # MMEngine names what it writes to by the second, and two runs in one second would share it.
    changes = ['--cfg-options', f'experiment_name={uuid4().hex}', *options]
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments), *changes])
    return run_script(ROOT / 'tools' / tool)


@pytest.mark.parametrize('kind', KINDS)
def test_files_train_validate_test_and_resume(kind, tmp_path, monkeypatch, capsys):
    path = config(tmp_path, kind)
    assert len(path.read_text().strip().splitlines()) <= 25
    work_dir = tmp_path / 'work'
    assert run(monkeypatch, 'train.py', path, '--work-dir', work_dir) == 0
    whole = torch.load(work_dir / 'epoch_2.pth', weights_only=False)['state_dict']
    assert 'data_preprocessor.mean_left' in whole
    assert run(monkeypatch, 'test.py', path, work_dir / 'epoch_2.pth', '--work-dir', tmp_path / 'test') == 0
    if kind not in ('npz', 'dialogues'):  # how it resumes does not depend on the files
        return
    short = tmp_path / 'short'
    half = ['train_cfg.max_epochs=1']
    assert run(monkeypatch, 'train.py', path, '--work-dir', short, options=half) == 0
    shutil.rmtree(tmp_path / 'test')
    assert run(monkeypatch, 'train.py', path, '--work-dir', short, '--resume') == 0
    parts = torch.load(short / 'epoch_2.pth', weights_only=False)['state_dict']
    assert all(torch.equal(whole[name], parts[name]) for name in whole)

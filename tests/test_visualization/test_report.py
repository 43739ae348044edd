"""The report of trainings, and the log that it is made from."""

import json
import re
import runpy
from pathlib import Path

import nibabel
import numpy as np
import pytest

from mmcggm.visualization.report import report_page, short_names
from mmcggm.visualization.training_log import read_training
from tests.test_visualization.test_curves import training, write_run
from tests.tool import exit_status

TOOL = Path(__file__).parents[2] / 'tools' / 'analysis_tools' / 'report.py'
CONFIG = """
model = dict(type='GuidedModel', model=dict(type='Net<1>'))
optim_wrapper = dict(balancer=dict(type='CGGM', lam=0.0))
train_dataloader = dict(batch_size=4, dataset=dict(type='Digits'))
"""
TEST = {
    'accuracy': 0.75,
    'guide/audio': 0.5,
    'shapley/audio': 0.25,
    'shapley/spread': 0.1,
    'subset/audio': 0.4,
}


def write_training(folder: Path, value: float = 0.25) -> Path:
    write_run(folder, '20250101_000000', training(value=value))
    write_run(folder, '20250102_000000', [dict(accuracy=0.5, step=0)])  # a test
    (folder / '20250101_000000' / 'vis_data' / 'config.py').write_text(CONFIG)
    (folder / '20250102_000000' / '20250102_000000.json').write_text(json.dumps(TEST))
    return folder


def test_log(tmp_path):
    log = read_training(write_training(tmp_path))
    assert log.method == 'CGGM(lam=0.0)'
    assert len(log.train) == 30 and [line['accuracy'] for line in log.val] == [0.5]
    assert log.overall() == dict(accuracy=0.75)
    assert log.by_modality() == dict(audio=dict(guide=0.5, shapley=0.25))


def test_resumed_runs_are_one_training(tmp_path):
    write_run(tmp_path, '20250101_000000', training(value=1.0, steps=20))
    write_run(tmp_path, '20250102_000000', training(value=2.0, steps=5, start=150))
    steps = [line['step'] for line in read_training(tmp_path).train]
    assert steps == list(range(10, 201, 10))


def test_page_is_self_contained(tmp_path):
    logs = [read_training(write_training(tmp_path / name)) for name in ('joint', 'cggm')]
    (tmp_path / 'joint' / 'confusion.png').write_bytes(b'\x89PNG')
    page = report_page(logs)
    assert re.findall(r'<h2>(.*?)</h2>', page) == [
        'Trainings',
        'Results',
        'What each modality contributes',
        'Curves',
        'Balance during training',
        'Pictures in the work folders',
        'Settings',
    ]
    assert not re.search(r'(src|href)="(?!data:)', page)
    assert 'Net&lt;1&gt;' in page and 'Net<1>' not in page
    assert 'joint: confusion.png' in page and 'Shapley value' in page
    with pytest.raises(ValueError, match='no training'):
        report_page([])


def test_guides_are_drawn_over_the_validations(tmp_path):
    lines = [
        {'accuracy': 0.1 * epoch, 'guide/audio': 0.05 * epoch, 'guide/image': 0.5, 'step': epoch}
        for epoch in (1, 2, 3)
    ]
    write_run(tmp_path, '20250101_000000', [*training(), *lines])
    page = report_page([read_training(tmp_path)])
    assert '<h2>What each encoder has learnt</h2>' in page
    assert '<td>the last validation</td>' in page and '>0.3<' in page  # not of a test


def test_names_are_as_short_as_they_can_be():
    folders = [Path(f'/runs/{name}') for name in ('ogm/mfeat', 'cggm/mfeat')]
    assert short_names(folders) == ['ogm/mfeat', 'cggm/mfeat']
    assert short_names(folders[:1]) == ['mfeat']
    assert len(set(short_names([*folders, folders[0]]))) == 3


def test_tool(tmp_path, capsys):
    main = runpy.run_path(str(TOOL))['main']
    out = tmp_path / 'pages' / 'report.html'
    assert exit_status(lambda: main([str(tmp_path), '--out', str(out)])) == 1
    assert 'holds no training' in capsys.readouterr().err
    write_training(tmp_path / 'run')
    assert exit_status(lambda: main([str(tmp_path / 'run'), '--out', str(out)])) == 0
    assert out.read_text().startswith('<!DOCTYPE html>')


def test_predictions_are_drawn_beside_their_references(tmp_path, brats_source, brats_store, monkeypatch):
    """A case whose prediction is its reference has a Dice of 1; without its tumour it has less."""
    pytest.importorskip('panoptica')
    folder, predictions = write_training(tmp_path / 'run'), tmp_path / 'segmentations'
    config = next(folder.glob('*/vis_data/config.py'))
    config.write_text(f'{CONFIG}\ntest_dataloader = dict(dataset=dict(data_root={str(brats_store)!r}))')
    predictions.mkdir()
    right, wrong = 'BraTS2021_00001', 'BraTS-GLI-00003-000'
    for case in (right, wrong):
        (reference,) = brats_source.rglob(f'{case}*seg.nii.gz')
        image = nibabel.load(reference)
        labels = np.asarray(image.dataobj) * (case == right)
        nibabel.save(
            nibabel.Nifti1Image(labels.astype('uint8'), image.affine), predictions / f'{case}.nii.gz'
        )
    main, shown = runpy.run_path(str(TOOL))['main'], {}
    draw = main.__globals__['report_page']
    monkeypatch.setitem(
        main.__globals__, 'report_page', lambda logs, samples: shown.update(samples) or draw(logs, samples)
    )
    out = tmp_path / 'report.html'
    assert main([str(folder), '--predictions', str(predictions), '--out', str(out)]) == 0
    (figure,) = shown.values()
    said = {ax.get_xlabel() for ax in figure.axes if ax.get_xlabel()}
    assert any(re.fullmatch(r'Dice( +\w+ 1\.00){3}', text) for text in said), said
    assert any('WT 0.00' in text for text in said)
    assert {ax.get_ylabel().splitlines()[0] for ax in figure.axes if ax.get_ylabel()} == {right, wrong}
    assert re.search(r'<h3>[^<]*segmentations</h3><img alt="" src="data:image/png;base64,', out.read_text())


def test_predictions_need_a_store(tmp_path, capsys):
    main = runpy.run_path(str(TOOL))['main']
    words = [str(write_training(tmp_path / 'run')), '--predictions', str(tmp_path), '--out', 'report.html']
    assert exit_status(lambda: main(words)) == 1
    assert 'names none (`test_dataloader.dataset.data_root`)' in capsys.readouterr().err

"""confusion_matrix.py counts what the model predicts, a row a true class, and draws the counts."""

import re

import numpy as np
import pytest
import torch

from mmcggm.visualization import figures
from tests.predictor import CLASSES, rows, write_predictor

TOOL = 'analysis_tools/confusion_matrix.py'


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    return write_predictor(tmp_path_factory.mktemp('predictor'))


def test_counts_are_those_of_the_model(files, tool, tmp_path, monkeypatch, capsys):
    drawn = []
    monkeypatch.setattr(figures, 'save_figure', lambda figure, path: drawn.append(figure))
    table = tmp_path / 'counts.csv'
    paths = [files.config, files.checkpoint, '--out', tmp_path / 'confusion.png', '--csv', table]
    tool(TOOL, *paths, '--split', 'train', '--include-values', '--device', 'cpu')

    inputs, labels = rows('train')
    with torch.no_grad():
        predicted = files.model.model(inputs).argmax(1).numpy()
    expected = np.array([[((labels == i) & (predicted == j)).sum() for j in range(3)] for i in range(3)])
    assert (expected != expected.T).any()  # or rows and columns could be swapped
    np.testing.assert_array_equal(np.loadtxt(table, delimiter=','), expected)
    axes = drawn[0].axes[0]
    np.testing.assert_array_equal(axes.images[0].get_array(), expected)
    assert [int(text.get_text()) for text in axes.texts] == expected.ravel().tolist()
    assert tuple(text.get_text() for text in axes.get_yticklabels()) == CLASSES
    right, of = map(int, re.search(r'(\d+) of (\d+) are right', capsys.readouterr().out).groups())
    assert (right, of) == ((labels == predicted).sum(), len(labels))


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (['model.model.outputs=1', 'model.task.type=RegressionTask'], 'does not classify: a prediction has'),
        (['model.model.type=NoPredictor'], 'does not classify: it predicts bool, where an'),
        (['test_dataloader=None'], 'has no `test_dataloader`'),
    ],
)
def test_what_does_not_classify_is_an_error(files, tool, tmp_path, options, message, capsys, monkeypatch):
    from mmcggm.models import MultimodalPredictor
    from mmcggm.registry import MODELS

    class NoPredictor(MultimodalPredictor):
        def forward(self, *args, mode: str = 'tensor', **kwargs):
            found = super().forward(*args, mode=mode, **kwargs)
            return [bool(sample.label) for sample in found] if mode == 'predict' else found

    monkeypatch.setitem(MODELS._module_dict, 'NoPredictor', NoPredictor)
    checkpoint = files.checkpoint
    if 'model.model.outputs=1' in options:
        state = {k: v for k, v in files.model.state_dict().items() if k.startswith('model.backbone')}
        checkpoint = tmp_path / 'part.pth'
        head = {'model.head.weight': torch.zeros(1, 64), 'model.head.bias': torch.zeros(1)}
        torch.save(dict(state_dict={**state, **head}), checkpoint)
    with pytest.raises(SystemExit):
        tool(TOOL, files.config, checkpoint, '--out', tmp_path / 'c.png', '--cfg-options', *options)
    assert message in capsys.readouterr().err
    assert not (tmp_path / 'c.png').exists()

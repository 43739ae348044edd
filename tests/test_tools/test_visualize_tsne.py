"""visualize_tsne.py draws each encoder's representations, and what the head gets, coloured by class."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

pytest.importorskip('sklearn')
from mmcggm.visualization import embedding, figures
from tests.predictor import CLASSES, rows, write_predictor

TOOL = 'analysis_tools/visualize_tsne.py'


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    return write_predictor(tmp_path_factory.mktemp('predictor'))


def test_points_are_the_representations(files, tool, tmp_path, monkeypatch):
    """With t-SNE replaced by two channels, the picture shows what each encoder returns for each class."""
    drawn = []
    monkeypatch.setattr(figures, 'save_figure', lambda figure, path: drawn.append(figure))
    monkeypatch.setattr(embedding, 'embed', lambda vectors, perplexity, seed: vectors[:, :2])
    tool(TOOL, files.config, files.checkpoint, '--out', tmp_path / 't.png', '--device', 'cpu')

    inputs, labels = rows('test')
    backbone = files.model.model.backbone
    with torch.no_grad():
        expected = {m: encoder(inputs[m]) for m, encoder in backbone.encoders.items()}
        expected['fused'] = backbone(inputs)
    assert [ax.get_title() for ax in drawn[0].axes] == ['left', 'right', 'fused']
    for ax, vectors in zip(drawn[0].axes, expected.values(), strict=True):
        assert [points.get_label() for points in ax.collections] == list(CLASSES)
        colours = {to_rgb(points.get_facecolor()[0][:3]) for points in ax.collections}
        assert len(colours) == len(CLASSES)
        for label, points in enumerate(ax.collections):
            found = np.sort(points.get_offsets(), axis=0)
            np.testing.assert_allclose(found, np.sort(vectors[labels == label, :2], axis=0), atol=1e-6)


def test_neighbours_stay_neighbours():
    draw = np.random.default_rng(0)
    labels = np.arange(45) % 3
    vectors = draw.normal(size=(45, 12)) + 20 * np.eye(12)[labels]
    places = embedding.embed(vectors, perplexity=8)
    distances = np.linalg.norm(places[:, None] - places, axis=2) + 1e9 * np.eye(45)
    np.testing.assert_array_equal(labels[distances.argmin(1)], labels)


def test_too_few_samples_is_an_error(files, tool, tmp_path, capsys):
    with pytest.raises(SystemExit):
        tool(TOOL, files.config, files.checkpoint, '--out', tmp_path / 't.png', '--split', 'test')
    assert '12 samples are too few for a perplexity of 30.0: lower it' in capsys.readouterr().err

"""browse_dataset.py draws samples that are spread over a split, as the data set returns them."""

import numpy as np
import pytest

from mmcggm.visualization import figures
from tests.predictor import CLASSES, rows, write_predictor

TOOL = 'analysis_tools/browse_dataset.py'


@pytest.fixture(scope='module')
def config(tmp_path_factory):
    return write_predictor(tmp_path_factory.mktemp('predictor')).config


@pytest.mark.parametrize(('split', 'number', 'places'), [('train', 3, [0, 11, 23]), ('test', 99, range(12))])
def test_samples_are_those_of_the_split(config, tool, tmp_path, split, number, places, monkeypatch, capsys):
    drawn = {}
    monkeypatch.setattr(figures, 'save_figure', lambda figure, path, dpi: drawn.update({path: figure}))
    tool(TOOL, config, '--out-dir', tmp_path, '--split', split, '--number', number)
    inputs, labels = rows(split)
    assert list(drawn) == [tmp_path / f'{split}_{place}.png' for place in places]
    assert f'Drew {len(drawn)} of the {len(labels)} samples' in capsys.readouterr().out
    for place, figure in zip(places, drawn.values(), strict=True):
        assert f'{labels[place]} ({CLASSES[labels[place]]})' in figure.get_suptitle()
        for ax, modality in zip(figure.axes, inputs, strict=True):
            assert modality in ax.get_title()
            np.testing.assert_allclose(ax.lines[0].get_ydata(), inputs[modality][place], rtol=1e-6)


def test_a_split_that_is_not_there_is_an_error(config, tool, tmp_path, capsys):
    with pytest.raises(SystemExit):
        tool(TOOL, config, '--out-dir', tmp_path, '--split', 'val', '--cfg-options', 'val_dataloader=None')
    assert 'has no `val_dataloader`: choose another split' in capsys.readouterr().err

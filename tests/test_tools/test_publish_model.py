"""publish_model.py writes the weights of a checkpoint and no more, under the hash of what it wrote."""

import hashlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from mmcggm.guided import load_weights
from tests.predictor import write_predictor

TOOL = 'model_converters/publish_model.py'


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    return write_predictor(tmp_path_factory.mktemp('predictor'))


def published(tool, source: Path, folder: Path, *options: str) -> dict:
    """Return what is published, having compared the name of the only file with the hash of its content."""
    tool(TOOL, source, folder / 'moods.pth', *options)
    (path,) = folder.iterdir()
    assert path.name == f'moods-{hashlib.sha256(path.read_bytes()).hexdigest()[:8]}.pth'
    return torch.load(path, weights_only=True)


def assert_equal(found: dict, expected: dict) -> None:
    assert list(found) == list(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_the_weights_are_those_of_the_checkpoint(files, tool, tmp_path):
    found = published(tool, files.checkpoint, tmp_path / 'out')
    assert set(found) == {'meta', 'state_dict'} and found['meta']['epoch'] == 1
    assert_equal(found['state_dict'], files.model.state_dict())


def test_without_guides_it_loads_into_the_plain_model(files, tool, tmp_path):
    found = published(tool, files.checkpoint, tmp_path / 'out', '--strip-guides')
    assert 'cfg' not in found['meta']
    assert_equal(found['state_dict'], files.model.model.state_dict())
    load_weights(files.model.model, found, 'published')


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_weights_alone_are_published_as_well(files, tool, tmp_path, suffix):
    source, state = tmp_path / f'weights{suffix}', files.model.model.state_dict()
    torch.save(state, source) if suffix == '.pth' else save_file(dict(state), source)
    found = published(tool, source, tmp_path / 'out')
    assert set(found) == {'state_dict'} and set(found['state_dict']) == set(state)
    assert all(torch.equal(found['state_dict'][name], state[name]) for name in state)


@pytest.mark.parametrize(
    ('content', 'options', 'message'),
    [
        (dict(optimizer=dict(lr=0.1)), [], 'holds no weights where they are looked for'),
        (dict(state_dict={'head.weight': torch.zeros(1)}), ['--strip-guides'], 'has no guides'),
    ],
)
def test_nothing_to_publish_is_an_error(tool, tmp_path, content, options, message, capsys):
    torch.save(content, tmp_path / 'other.pth')
    with pytest.raises(SystemExit):
        tool(TOOL, tmp_path / 'other.pth', tmp_path / 'out' / 'moods.pth', *options)
    said = capsys.readouterr().err
    assert message in said and 'other.pth' in said and 'Traceback' not in said
    assert not (tmp_path / 'out').exists()

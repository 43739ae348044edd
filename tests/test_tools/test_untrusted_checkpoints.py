"""Every tool and setting that loads a checkpoint refuses one that holds code, and runs none of it."""

import re
from pathlib import Path

import pytest
import torch

from mmcggm.registry import DATASETS, METRICS, MODELS
from tests.hostile import FORMS
from tests.tiny import Accuracy, TinyClassifier, TinyData, tiny_guided, tiny_runner, wrapper_config

CONFIG = """
default_scope = 'mmcggm'
model = dict(
    type='GuidedModel',
    model=dict(type='TinyClassifier'),
    encoders=dict(left='left_encoder', right='right_encoder'),
    head='classifier',
    guide=dict(type='TinyGuide'),
    task=dict(type='ClassificationTask', target='label'),
)
train_dataloader = dict(
    dataset=dict(type='Vectors'),
    batch_size=32,
    num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
)
test_dataloader = train_dataloader
test_cfg = dict()
test_evaluator = dict(type='Hits')
train_cfg = dict(by_epoch=True, max_epochs=1)
optim_wrapper = dict(
    type='BalancedOptimWrapper', optimizer=dict(type='SGD', lr=0.1), balancer=dict(type='CGGM')
)
custom_hooks = [dict(type='BalancingHook')]
log_level = 'ERROR'
"""


@MODELS.register_module()
class Initialised(TinyClassifier):
    """A model that begins with what its config names."""

    def __init__(self, init_cfg: dict) -> None:
        super().__init__()
        self.init_cfg = init_cfg


@DATASETS.register_module()
class Vectors(TinyData):
    """Data for the config."""


@METRICS.register_module()
class Hits(Accuracy):
    """The metric of the config."""


@pytest.fixture(scope='module')
def config(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp('configs') / 'tiny.py'
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope='module')
def trained(config) -> Path:
    """The checkpoint of a training."""
    folder = config.parent / 'trained'
    wrapper = wrapper_config(constructor='DefaultOptimWrapperConstructor', guide_optimizer=None)
    tiny_runner(folder, max_epochs=1, optim_wrapper=wrapper).train()
    return folder / 'epoch_1.pth'


@pytest.fixture
def end(tool, capsys):
    """Run a tool; return its exit status and what it printed on stderr."""

    def run(name: str, *arguments: object) -> tuple[int, str]:
        try:
            tool(name, *arguments)
            status = 0
        except SystemExit as stopped:
            status = stopped.code
        return status, capsys.readouterr().err

    return run


def resume(config, path, folder):
    return 'train.py', config, '--work-dir', folder, '--resume', path


def resume_newest(config, path, folder):
    folder.mkdir(exist_ok=True)
    (folder / 'last_checkpoint').write_text(str(path))
    return 'train.py', config, '--work-dir', folder, '--resume'


def begin(config, path, folder):
    return 'train.py', config, '--work-dir', folder, '--cfg-options', f'load_from={path}'


def initialise(config, path, folder):
    inner = f"dict(type='Initialised', init_cfg=dict(type='Pretrained', checkpoint={str(path)!r}))"
    return 'train.py', variant(config, folder, "dict(type='TinyClassifier')", inner), '--work-dir', folder


def initialise_in_part(config, path, folder):
    part = f"dict(type='Pretrained', prefix='model', checkpoint={str(path)!r})"
    inner = f"dict(type='Initialised', init_cfg={part})"
    return 'train.py', variant(config, folder, "dict(type='TinyClassifier')", inner), '--work-dir', folder


def teach(config, path, folder):
    guide = "guide=dict(type='TinyGuide'),"
    file = variant(config, folder, guide, f'{guide} teachers=dict(left={str(path)!r}),')
    return 'train.py', file, '--work-dir', folder


def evaluate(config, path, folder):
    return 'test.py', config, path, '--work-dir', folder


def strip(config, path, folder):
    return 'model_converters/strip_guides.py', path, folder / 'plain.pth'


def probe(config, path, folder):
    return 'analysis_tools/linear_probe.py', config, path, '--device', 'cpu'


def variant(config: Path, folder: Path, old: str, new: str) -> Path:
    """Write the config with another model."""
    folder.mkdir()
    text = config.read_text()
    assert old in text
    (folder / 'variant.py').write_text(text.replace(old, new))
    return folder / 'variant.py'


WAYS = (resume, resume_newest, begin, initialise, initialise_in_part, teach, evaluate, strip, probe)


@pytest.mark.parametrize('form', ['reduced', 'in_the_optimizer', 'chained', 'legacy', 'tarred'])
@pytest.mark.parametrize('way', WAYS)
def test_code_in_a_checkpoint_does_not_run(end, config, trained, tmp_path, way, form):
    path, marker = tmp_path / 'hostile.pth', tmp_path / 'ran'
    FORMS[form](torch.load(trained, weights_only=False), marker, path)
    status, said = end(*way(config, path, tmp_path / 'work'))
    assert status == 1 and not marker.exists()
    last = said.splitlines()[-1]
    if way is resume_newest:  # which looks for one that is whole
        assert re.search(r'Error: No checkpoint in .*hostile\.pth', last)
    else:
        assert re.search(
            r"Error: (`teachers\.left`: )?'.*hostile\.pth' is not loaded: it asks for .*--trust", last
        )
    assert not list((tmp_path / 'work').glob('*.pth'))


@pytest.mark.parametrize('way', WAYS)
def test_texts_in_a_checkpoint_are_not_run(end, config, trained, tmp_path, way):
    path, marker = tmp_path / 'texts.pth', tmp_path / 'ran'
    checkpoint = torch.load(trained, weights_only=False)
    checkpoint['meta'] |= dict.fromkeys(('config', 'cfg'), f'open({str(marker)!r}, "w").close()')
    torch.save(checkpoint, path)
    (tmp_path / 'work').mkdir() if way is strip else None
    assert end(*way(config, path, tmp_path / 'work'))[0] == 0 and not marker.exists()


@pytest.mark.parametrize('way', [resume, resume_newest, begin, evaluate, strip, probe])
def test_who_trusts_a_checkpoint_says_so(end, config, trained, tmp_path, way, monkeypatch):
    monkeypatch.setattr('mmcggm.utils.checkpoints.schemes._trusted', False)
    path, marker = tmp_path / 'hostile.pth', tmp_path / 'ran'
    FORMS['reduced'](torch.load(trained, weights_only=False), marker, path)
    (tmp_path / 'work').mkdir()
    name, *arguments = way(config, path, tmp_path / 'work')
    assert end(name, '--trust', *arguments)[0] == 0 and marker.exists()


def test_what_is_written_anew_needs_no_trust(end, config, trained, tmp_path):
    path = tmp_path / 'hostile.pth'
    FORMS['reduced'](torch.load(trained, weights_only=False), tmp_path / 'ran', path)
    end('model_converters/strip_guides.py', '--trust', path, tmp_path / 'plain.pth')
    assert end(*evaluate(config, tmp_path / 'plain.pth', tmp_path / 'work'))[0] == 0


@pytest.mark.parametrize('way', [resume, begin, evaluate, probe])
def test_weights_of_another_model_are_an_error(end, config, tmp_path, way):
    path = tmp_path / 'other.pth'
    torch.save(dict(meta=dict(), state_dict=dict(weight=torch.ones(2))), path)
    status, said = end(*way(config, path, tmp_path / 'work'))
    last = said.splitlines()[-1]
    assert status == 1 and 'other.pth' in last and ('does not fit' in last or 'has weights alone' in last)


def test_a_training_begins_with_weights_that_fit_in_part(end, config, tmp_path):
    state = tiny_guided().state_dict()
    state['model.classifier.weight'] = torch.ones(7, 8)
    torch.save(dict(state_dict=state), tmp_path / 'other.pth')
    arguments = begin(config, tmp_path / 'other.pth', tmp_path / 'work')
    status, said = end(*arguments)
    assert status == 1 and '[7, 8] instead of [3, 8]' in said and 'strict_load = False' in said
    assert end(*arguments, 'strict_load=False')[0] == 0
    assert (tmp_path / 'work' / 'epoch_1.pth').exists()

"""The config in a checkpoint: what MMEngine wrote is read again, and nothing in it is executed."""

import keyword
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config

from mmcggm.engine.kept_config import kept_config
from mmcggm.utils.checkpoints import CheckpointError

CONFIGS = Path(__file__).parents[2] / 'configs'


def kept(text: object, **kwargs) -> Config:
    return kept_config(dict(meta=dict(cfg=text)), 'a.pth', **kwargs)


@pytest.mark.parametrize(
    'name',
    [
        'cggm/brats_unet.py',
        'cggm/brats_unet3d_small.py',
        'cggm/mfeat.py',
        'cggm/food101.py',
        'mmcosine/iemocap.py',
        'umt/cmu_mosi.py',
    ],
)
def test_what_mmengine_keeps_is_read_again(name):
    cfg = Config.fromfile(CONFIGS / name, format_python_code=False)  # which takes seconds
    assert kept(cfg.pretty_text).to_dict() == cfg.to_dict()


names = st.from_regex(r'[a-z][a-z_0-9]{0,5}', fullmatch=True).filter(
    lambda name: name not in (*keyword.kwlist, 'type', 'inf', 'nan')
)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=9,
)


@settings(max_examples=40)
@given(content=st.dictionaries(names, values, max_size=4))
def test_any_plain_values_are_read_again(content):
    text = '\n'.join(f'{name} = {value!r}' for name, value in content.items())
    assert kept(text).to_dict() == content


@pytest.mark.parametrize(
    'text',
    [
        "__import__('os').system('touch {proof}')",
        "model = __import__('os').system('touch {proof}')",
        "model = dict(**__import__('os').environ)",
        "model = [x for x in open('{proof}', 'w')]",
        'import os',
        'from os import system as model',
        "model = f'{{open(chr(47))}}'",
        'model = (lambda: 1)()',
        'model = dict(dict(a=1), b=open)',
        'a, b = 1, 2',
        'model = 10 ** 10 ** 10',
        'model = ' + '[' * 500,
        'model = ' + '(' * 150 + ')' * 150 + ' + 1',
        '\x00',
        None,
        3,
    ],
)
def test_what_is_more_than_data_is_refused(text, tmp_path):
    proof = tmp_path / 'proof'
    text = text.format(proof=proof) if isinstance(text, str) else text
    with pytest.raises(CheckpointError, match=r"'a.pth'.* Give the config"):
        kept(text)
    assert not proof.exists()


@pytest.mark.parametrize(
    'model',
    [
        "dict(type='os.system', command='touch {proof}')",
        "dict(type='GuidedModel', model=dict(type='subprocess.Popen', args='touch {proof}', shell=True))",
        "dict(type='torch.nn.modules.module.warnings.warn', message='x')",
        "dict(type='torch.hub.load', repo_or_dir='x', model='y')",
        "dict(type='antigravity')",
        "dict(type='evil.Model')",
        "dict(type='mmseg.apis.inference.torch')",
        "dict(type='SmallCNN', _scope_='evil')",
        "dict(type='SmallCNN', norm=[dict(type='builtins.exec')])",
    ],
)
def test_what_could_be_called_must_be_known(model, tmp_path):
    text = f'model = {model.format(proof=tmp_path / "proof")}'
    with pytest.raises(CheckpointError, match='beyond what this package'):
        kept(text)
    assert kept(text, trust=True).model


@pytest.mark.parametrize('text', ["default_scope = 'evil'", "custom_imports = dict(imports=['evil'])"])
def test_no_module_is_imported(text):
    with pytest.raises(CheckpointError, match=r'names (evil|custom_imports), beyond'):
        kept(text)


def test_known_components_are_accepted():
    model = kept(
        "model = dict(a=dict(type='torch.nn.Linear'), b=dict(type='mmseg.FCNHead'), "
        "c=dict(type='SmallCNN'), d=dict(type='mmcggm.models.segmentor.MultimodalSegmentor'), e=-inf)"
    ).model
    assert model.e == float('-inf')

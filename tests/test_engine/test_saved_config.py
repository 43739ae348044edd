"""The copy of a config beside its training is the config: values, kinds and order."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import Config
from torch import optim

from mmcggm.engine.saved_config import config_text, save_config

NAMES = st.sampled_from(['text', 'audio', 'a b', 'class', 'zer', 'é', 'lr'])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(NAMES | st.integers(0, 9), inner, max_size=4)
    ),
    max_leaves=12,
)


def read(text: str) -> dict:
    """Run the text as MMEngine runs a config."""
    found: dict = {}
    exec(text, {}, found)
    return found


@given(st.dictionaries(st.sampled_from(['zebra', 'model', 'a']), VALUES, max_size=3))
def test_the_text_is_the_config(settings):
    found = read(config_text(Config(settings)))
    assert repr(found) == repr(Config(settings).to_dict())


def test_what_is_no_number_what_is_a_class_and_what_is_a_path():
    cfg = Config(dict(low=-math.inf, no=math.nan, optimizer=dict(type=optim.SGD), root=Path('a', 'b')))
    found = read(config_text(cfg))
    assert found['root'] == str(Path('a', 'b'))
    assert found['low'] == -math.inf and math.isnan(found['no'])
    assert found['optimizer'] == dict(type='torch.optim.sgd.SGD')


@pytest.mark.parametrize('name', ['saved.py', 'saved.json', 'saved.yaml'])
def test_it_is_read_again(name, tmp_path):
    cfg = Config(dict(work_dir='é', shape=[1, 2], model=dict(type='Net', b=1.0, a=None)))
    save_config(cfg, tmp_path / name)
    assert Config.fromfile(tmp_path / name).to_dict() == cfg.to_dict()
    assert [path.name for path in tmp_path.iterdir()] == [name]

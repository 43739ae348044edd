"""Which setting an error means where a component of a config gets an argument that it does not take."""

from typing import Any

import pytest
from mmengine.config import Config
from mmengine.registry import Registry

from mmcggm.utils.wrong_argument import explain_wrong_argument, is_wrong_argument

PARTS = Registry('parts')


@PARTS.register_module()
class Reader:
    """Takes its own settings alone."""

    def __init__(self, labels: str, epochs: int = 1, part: Any = None) -> None:
        self.part = None if part is None else PARTS.build(part)


@PARTS.register_module()
class ReaderOfFiles(Reader):
    """Hands on what it does not know, and so takes the settings of both."""

    def __init__(self, folder: str = '', **kwargs: Any) -> None:
        super().__init__(**kwargs)


@PARTS.register_module()
class Anything:
    """Refuses at its own place what it was given."""

    def __init__(self, **kwargs: Any) -> None:
        Reader('labels', **kwargs)


def explained(cfg: dict, built: str = 'data') -> str:
    config = Config(cfg)
    with pytest.raises(TypeError) as caught:
        build(config, built)
    assert is_wrong_argument(caught.value)
    return explain_wrong_argument(caught.value)


def build(config: Config, key: str) -> None:
    PARTS.build({'type': 'Reader', **config[key]})


@pytest.mark.parametrize('kind', ['Reader', 'ReaderOfFiles', 'tests.Reader', Reader])
def test_a_misspelt_setting_is_named_with_its_place_and_what_is_like_it(kind):
    message = explained(dict(data=dict(type=kind, label='a')))
    assert "has no setting `data.label`. Did you mean 'labels'?" in message


def test_it_is_found_at_every_depth_and_where_the_config_names_no_type():
    inner = dict(type='Reader', labels='a', epoch=2)
    outer = dict(type='ReaderOfFiles', labels='a', folder='b', part=inner)
    assert "Reader has no setting `data.part.epoch`. Did you mean 'epochs'?" in explained(dict(data=outer))
    assert '`list.1.epoch`' in explained(dict(data=inner, list=[0, inner]))
    # The base has the right one beside it, which is proposed all the same.
    assert "`data.epoch`. Did you mean 'epochs'" in explained(dict(data=dict(labels='a', epochs=1, epoch=2)))


def test_every_misspelt_setting_is_named_and_no_right_one():
    message = explained(dict(data=dict(type='ReaderOfFiles', label='a', epoch=2, folder='b')))
    assert message.count('has no setting') == 2 and '`data.label`' in message and '`data.epoch`' in message


def test_a_setting_in_many_places_is_named_in_three():
    part = dict(type='Reader', label='a')
    message = explained(dict(data=part, others=[part] * 3))
    assert '`data.label`, `others.0.label`, `others.1.label` and 1 more. Did' in message


def test_what_lacks_a_setting_is_named():
    message = explained(dict(data=dict(type='Reader', epochs=2), other=dict(type='Anything', epochs=2)))
    assert message.endswith('It belongs to `data`.') and "'labels'" in message


def test_of_what_takes_anything_only_the_refused_argument_is_named():
    message = explained(dict(data=dict(type='Anything', epochs=2, year=3)))
    assert message.count('has no setting') == 1 and '`data.year`' in message


def test_without_a_config_the_setting_is_named_alone():
    with pytest.raises(TypeError) as caught:
        PARTS.build(dict(type='Reader', label='a'))
    assert 'Reader has no setting `label`. Did' in explain_wrong_argument(caught.value)

"""Encoders that begin with the weights of earlier trainings."""

import pytest
import torch

from tests.many import many_batches, many_guided
from tests.tiny import build_wrapper


@pytest.fixture
def earlier(tmp_path):
    """Return the checkpoint of a training of the same model, and its weights."""
    guided = many_guided(2)
    wrapper = build_wrapper(guided, balancer=None)
    for batch in many_batches(2, 3):
        guided.train_step(batch, wrapper)
    state = guided.state_dict()
    torch.save(dict(state_dict=state), tmp_path / 'earlier.pth')
    return str(tmp_path / 'earlier.pth'), state


def equal(guided, state, part: str) -> bool:
    own = {name: value for name, value in guided.state_dict().items() if name.startswith(part)}
    assert own
    return all(torch.equal(value, state[name]) for name, value in own.items())


def test_a_training_begins_with_them_and_a_test_needs_none(earlier):
    path, state = earlier
    guided = many_guided(2, pretrained=dict(m1=path))
    assert not equal(guided, state, 'model.encoders.1')  # a test loads its own checkpoint
    guided.init_weights()
    assert equal(guided, state, 'model.encoders.1') and not equal(guided, state, 'model.encoders.0')
    many_guided(2, pretrained=dict(m1='nowhere.pth'))
    with pytest.raises(FileNotFoundError, match=r"`pretrained\.m1`: no checkpoint 'nowhere\.pth'"):
        many_guided(2, pretrained=dict(m1='nowhere.pth')).init_weights()


@pytest.mark.parametrize('freeze', [True, False])
def test_frozen_encoders_stay_and_the_others_learn(earlier, freeze):
    path, state = earlier
    guided = many_guided(2, pretrained=dict(m1=path), freeze=freeze)
    guided.init_weights()
    guided.train()
    assert [guided.model.encoders[i].training for i in (0, 1)] == [True, not freeze]
    begun = {name: value.clone() for name, value in guided.state_dict().items()}
    wrapper = build_wrapper(guided, balancer=dict(type='MultiLoss'))
    for batch in many_batches(2, 3):
        guided.train_step(batch, wrapper)
    assert equal(guided, state, 'model.encoders.1') == freeze
    assert not equal(guided, begun, 'model.encoders.0') and not equal(guided, begun, 'model.classifier')
    assert not equal(guided, begun, 'guides.m1')


def test_wrong_settings_are_named():
    with pytest.raises(ValueError, match=r"`pretrained` names \['m7'\]"):
        many_guided(2, pretrained=dict(m7='a.pth'))
    with pytest.raises(ValueError, match='`freeze` keeps the encoders of `pretrained`'):
        many_guided(2, freeze=True)

"""Weights fit a model, guided or plain, or the error says which do not."""

import pytest
import torch
from mmengine.runner.checkpoint import load_state_dict
from torch import nn

from mmcggm.guided import load_weights, strip_guides
from mmcggm.utils.checkpoints import CheckpointError
from tests.tiny import TinyClassifier, tiny_guided, weights


@pytest.fixture
def told(monkeypatch) -> list[str]:
    """What the log is told."""
    messages: list[str] = []
    monkeypatch.setattr('mmcggm.guided.weights.print_log', lambda message, *_: messages.append(message))
    return messages


def other_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: torch.randn_like(value) for name, value in model.state_dict().items()}


def test_a_guided_model_takes_its_own(told):
    guided = tiny_guided()
    state = other_weights(guided)
    load_weights(guided, dict(state_dict=state), 'a.pth')
    assert all(torch.equal(value, state[name]) for name, value in guided.state_dict().items()) and not told


def test_stripped_weights_fit_the_guided_and_the_plain_model(told):
    trained, guided, plain = tiny_guided(), tiny_guided(), TinyClassifier()
    trained.load_state_dict(other_weights(trained))
    before = weights(guided.guides)
    stripped = strip_guides(dict(state_dict=trained.state_dict()))
    assert stripped['state_dict']._metadata == plain.state_dict()._metadata
    load_weights(plain, stripped, 'plain.pth')
    assert not told
    load_weights(guided, stripped, 'plain.pth')
    for model in (guided.model, plain):
        assert torch.equal(weights(model), weights(trained.model))
    assert torch.equal(weights(guided.guides), before)
    assert len(told) == 1 and "'plain.pth' has no guides" in told[0] and 'initial values' in told[0]


def test_weights_of_a_compiled_model_and_of_a_loop_fit(told):
    guided = tiny_guided()
    state = other_weights(guided)
    for rename in (
        lambda name: f'_orig_mod.{name}',
        lambda name: f'module._orig_mod.{name}',
        lambda name: f'_orig_mod.module.{name}',
        lambda name: name.replace('left_encoder', 'left_encoder._orig_mod'),
    ):
        guided.load_state_dict(other_weights(guided))
        load_weights(guided, dict(model={rename(name): v for name, v in state.items()}, epoch=3), 'a.pth')
        assert all(torch.equal(value, state[name]) for name, value in guided.state_dict().items())
    compiled = tiny_guided()
    compiled.model.left_encoder = torch.nn.Sequential()  # stands for a wrapper, which has the name itself
    compiled.model.left_encoder.add_module('_orig_mod', nn.Linear(4, 8))
    own = other_weights(compiled)
    load_weights(compiled, own, 'b.pth')
    assert all(torch.equal(value, own[name]) for name, value in compiled.state_dict().items()) and not told


@pytest.mark.parametrize('load', [load_state_dict, nn.Module.load_state_dict], ids=['mmengine', 'torch'])
@pytest.mark.parametrize('prefix', ['', 'inner.'])
def test_any_loader_gives_a_plain_models_weights_to_a_guided_one(load, prefix):
    """MMEngine's runner too, which logs what does not fit, and a model around the guided one."""
    plain, guided = TinyClassifier(), tiny_guided()
    plain.load_state_dict(other_weights(plain))
    before = weights(guided.guides)
    model = nn.ModuleDict(dict(inner=guided)) if prefix else guided
    load(model, {prefix + name: value for name, value in plain.state_dict().items()}, strict=False)
    assert torch.equal(weights(guided.model), weights(plain)) and torch.equal(weights(guided.guides), before)
    with pytest.raises(RuntimeError, match=r'guides\.left\.layer\.weight'):
        nn.Module.load_state_dict(guided, plain.state_dict())


def test_the_versions_of_a_plain_models_modules_are_known_to_any_loader():
    guided, plain = tiny_guided(), TinyClassifier()
    told = []
    linear = guided.model.left_encoder
    linear._register_load_state_dict_pre_hook(lambda state, prefix, metadata, *_: told.append(metadata))
    guided.load_state_dict(plain.state_dict(), strict=False)
    assert told == [dict(version=1)]


def test_the_plain_model_takes_a_guided_models(told):
    trained, plain = tiny_guided(), TinyClassifier()
    load_weights(plain, dict(state_dict=trained.state_dict()), 'guided.pth')
    assert torch.equal(weights(plain), weights(trained.model))
    assert told == ["'guided.pth' is of a guided model; left out are its guides."]


def test_weights_of_a_distributed_training_and_bare_ones_fit():
    trained = tiny_guided()
    trained.load_state_dict(other_weights(trained))
    state = {f'module.{name}': value for name, value in trained.state_dict().items()}
    for checkpoint in (dict(state_dict=state), state):
        guided = tiny_guided()
        load_weights(guided, checkpoint, 'a.pth')
        assert torch.equal(weights(guided), weights(trained))


def broken(model: nn.Module) -> dict[str, torch.Tensor]:
    state = other_weights(model)
    del state['left_encoder.bias'], state['right_encoder.bias']
    state |= {'classifier.weight': torch.ones(5, 8), 'neck.weight': torch.ones(1)}
    return state


def test_what_does_not_fit_is_named():
    plain = TinyClassifier()
    with pytest.raises(CheckpointError) as error:
        load_weights(plain, dict(state_dict=broken(plain)), 'a.pth')
    message = str(error.value)
    assert "'a.pth' does not fit the TinyClassifier" in message and 'strict_load = False' in message
    assert '2 of the model are missing: left_encoder.bias, right_encoder.bias.' in message
    assert '1 are not in the model: neck.weight.' in message
    assert '1 have another shape: classifier.weight ([5, 8] instead of [3, 8]).' in message


def test_many_names_are_counted():
    plain = TinyClassifier()
    state = other_weights(plain) | {f'extra.{i}': torch.ones(1) for i in range(9)}
    with pytest.raises(CheckpointError, match=r'9 are not .*extra\.3 and 5 more'):
        load_weights(plain, state, 'a.pth')


def test_what_fits_is_loaded_where_that_is_asked_for(told):
    plain = TinyClassifier()
    state, classifier = broken(plain), plain.classifier.weight.clone()
    load_weights(plain, dict(state_dict=state), 'a.pth', strict=False)
    assert torch.equal(plain.left_encoder.weight, state['left_encoder.weight'])
    assert torch.equal(plain.classifier.weight, classifier)
    assert len(told) == 1 and 'fits the model in part' in told[0] and 'neck.weight' in told[0]


@pytest.mark.parametrize('strict', [True, False])
def test_weights_of_which_none_fits_are_always_an_error(strict):
    with pytest.raises(CheckpointError, match='does not fit'):
        load_weights(tiny_guided(), dict(state_dict=dict(weight=torch.ones(2))), 'a.pth', strict=strict)


def test_guides_of_another_kind_are_an_error():
    guided = tiny_guided()
    state = guided.state_dict() | {'guides.left.layer.weight': torch.ones(7, 8)}
    with pytest.raises(CheckpointError, match=r'guides\.left\.layer\.weight'):
        load_weights(guided, dict(state_dict=state), 'a.pth')


@pytest.mark.parametrize(
    'checkpoint', [{}, dict(state_dict={}), dict(state_dict=[1]), dict(model={}, epoch=1), {1: torch.ones(1)}]
)
def test_a_checkpoint_without_weights_is_named(checkpoint):
    with pytest.raises(CheckpointError, match=r"'a\.pth' holds no weights"):
        load_weights(TinyClassifier(), checkpoint, 'a.pth')


def test_old_names_that_a_model_still_knows_are_no_error():
    """A module may rename what it loads; only then is it known what fits."""

    class Renaming(nn.Linear):
        def _load_from_state_dict(self, state_dict, prefix, *args):
            if f'{prefix}kernel' in state_dict:
                state_dict[f'{prefix}weight'] = state_dict.pop(f'{prefix}kernel').T
            super()._load_from_state_dict(state_dict, prefix, *args)

    model = nn.Sequential(Renaming(2, 3, bias=False))
    load_weights(model, {'0.kernel': torch.ones(2, 3)}, 'a.pth')
    assert torch.equal(model[0].weight, torch.ones(3, 2))

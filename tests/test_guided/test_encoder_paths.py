"""Paths, keys and captured representations of models that are not ours."""

from collections import OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from mmcggm.guided.capture import captured
from mmcggm.guided.encoder_paths import ModalityEncoder, check_head
from mmcggm.structures.nested import describe, map_tensors

Pair = namedtuple('Pair', ['first', 'second'])


@dataclass(frozen=True)
class Record:
    tokens: Tensor
    extra: tuple = ()


class Output(nn.Module):
    """Returns what ``wrap`` makes of its input."""

    def __init__(self, wrap=lambda x: x) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)
        self.wrap = wrap

    def forward(self, x: Tensor):
        return self.wrap(self.layer(x))


class Streams(nn.Module):
    def __init__(self, wrap=lambda x: x) -> None:
        super().__init__()
        self.streams = nn.ModuleList([Output(wrap), Output(wrap)])
        self.fusion = nn.Linear(4, 3)

    def forward(self, x: Tensor):
        return [stream(x) for stream in self.streams]


def capture(model: nn.Module, *inputs, **entry):
    encoder = ModalityEncoder.from_config('image', entry)
    encoder.check(model)
    with captured(model, [encoder]) as found:
        model(*inputs)
    return found['image']


@pytest.mark.parametrize('config', ['streams.1.layer', ['streams.1.layer'], dict(modules='streams.1.layer')])
def test_encoder_may_be_a_path_a_list_or_a_dict(config):
    encoder = ModalityEncoder.from_config('image', config)
    assert encoder == ModalityEncoder('image', ('streams.1.layer',), 'streams.1.layer')
    encoder.check(Streams())


def test_parameters_of_overlapping_modules_are_listed_once():
    model = Streams()
    encoder = ModalityEncoder.from_config('image', ['streams.0', 'streams.0.layer', 'fusion'])
    assert encoder.representation == 'fusion'
    assert len(encoder.parameters(model)) == 4


values = st.recursive(
    st.builds(lambda: torch.ones(1, requires_grad=True) * 2) | st.none() | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.sampled_from('abc'), inner, max_size=3)
        | st.dictionaries(st.sampled_from('abc'), inner, max_size=3).map(OrderedDict)
        | st.dictionaries(st.sampled_from('abc'), inner).map(lambda d: defaultdict(list, d))
        | st.builds(Pair, inner, inner)
        | st.builds(Record, inner, inner.map(lambda v: (v,)))
    ),
    max_leaves=8,
)


@given(values)
def test_detaching_keeps_types_and_values(value):
    def same(a, b) -> bool:
        if type(a) is not type(b):
            return False
        if isinstance(a, Tensor):
            return torch.equal(a, b) and not b.requires_grad
        if isinstance(a, dict):
            return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
        if isinstance(a, (list, tuple)):
            return len(a) == len(b) and all(map(same, a, b))
        if isinstance(a, Record):
            return same(a.tokens, b.tokens) and same(a.extra, b.extra)
        return a == b

    before = describe(value)
    assert same(value, map_tensors(Tensor.detach, value))
    assert describe(value) == before


def test_detaching_keeps_outputs_of_transformers():
    outputs = pytest.importorskip('transformers.modeling_outputs')
    tokens = torch.ones(1, 2, requires_grad=True) * 2
    output = outputs.BaseModelOutput(last_hidden_state=tokens, hidden_states=(tokens, tokens))
    detached = map_tensors(Tensor.detach, output)
    assert type(detached) is outputs.BaseModelOutput and detached.attentions is None
    assert not detached.last_hidden_state.requires_grad and output.last_hidden_state.requires_grad
    assert not detached[1][0].requires_grad
    pick = ModalityEncoder('text', ('bert',), 'bert', key=(1, -1)).pick
    assert pick(output) is tokens
    with pytest.raises(KeyError, match=r"BaseModelOutput\('last_hidden_state': Tensor\(1, 2\)"):
        ModalityEncoder('text', ('bert',), 'bert', key=('pooler_output',)).pick(output)


@pytest.mark.parametrize(
    ('wrap', 'key'),
    [
        (lambda x: x, None),
        (lambda x: (0, x), 1),
        (lambda x: (0, x), -1),
        (lambda x: [x], [0]),
        (lambda x: dict(a=dict(b=[x])), ['a', 'b', 0]),
        (lambda x: Pair(0, x), 'second'),
        (lambda x: Record(x, (0,)), 'tokens'),
        (lambda x: Record(0, (dict(x=x),)), ('extra', 0, 'x')),
    ],
)
def test_key_picks_from_outputs(wrap, key):
    model, x = Streams(wrap), torch.randn(3, 2)
    found = capture(model, x, modules='streams.1', key=key)
    torch.testing.assert_close(found, model.streams[1].layer(x))
    assert found.requires_grad


@pytest.mark.parametrize(
    ('wrap', 'key', 'held'),
    [
        (lambda x: x, 0, r'Tensor\(3, 2\)'),  # not the first sample
        (lambda x: (x,), 1, r'tuple\(0: Tensor\(3, 2\)\)'),
        (lambda x: dict(tokens=x), 'token', r"dict\('tokens': Tensor\(3, 2\)\)"),
        (lambda x: dict(tokens=x), 'values', 'dict'),  # not the dict's method
        (lambda x: Record(x), 'token', r"Record\('tokens': Tensor\(3, 2\), 'extra': tuple\)"),
    ],
)
def test_wrong_key_is_named_with_what_there_is(wrap, key, held):
    with pytest.raises(KeyError, match=rf"`encoders\.image\.key`: nothing under .*'streams\.0' is {held}"):
        capture(Streams(wrap), torch.randn(3, 2), modules='streams.0', key=key)


class Fused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.image = nn.Linear(2, 2)
        self.fusion = nn.Bilinear(2, 2, 3)
        self.head = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.fusion(self.image(x), input2=-x))


def test_representation_may_be_what_enters_a_module():
    model, x = Fused(), torch.randn(4, 2)
    first, second = (
        capture(model, x, modules='image', representation='fusion', source='input', key=key)
        for key in (0, 'input2')
    )
    torch.testing.assert_close(first, model.image(x).detach())
    torch.testing.assert_close(second, -x)
    entering = capture(model, x, modules='image', representation='head', source='input')  # its only argument
    torch.testing.assert_close(entering, model.fusion(model.image(x), -x).detach())


@pytest.mark.parametrize(
    ('entry', 'message'),
    [
        (
            dict(modules='streams.0.layr'),
            r"`encoders\.image`: .* no module 'streams\.0\.layr'.*streams\.0\.layer",
        ),
        (dict(modules='streams.2'), r"no module 'streams\.2'"),
        (dict(modules='streams.0', representation='fuson'), r"`encoders\.image\.representation`.*'fusion'"),
        (
            dict(modules='streams.0', source='outputs'),
            r"`encoders\.image\.source` must be 'output' or 'input'",
        ),
        (dict(modules='streams.0', keys=1), r'`encoders\.image` needs `modules`'),
        (dict(representation='streams.0'), r'`encoders\.image` needs `modules`'),
        (dict(modules=''), r'`encoders\.image` needs `modules`'),
    ],
)
def test_wrong_entries_are_named(entry, message):
    with pytest.raises(ValueError, match=message):
        capture(Streams(), torch.randn(3, 2), **entry)


def test_module_that_is_called_twice_is_refused():
    class Twice(Streams):
        def forward(self, x):
            return self.streams[0](self.streams[0](x))

    with pytest.raises(RuntimeError, match=r"'streams\.0' was called more than once"):
        capture(Twice(), torch.randn(3, 2), modules='streams.0')


def test_module_that_is_not_called_leaves_no_entry():
    model = Fused()
    encoders = [ModalityEncoder.from_config(name, name) for name in ('image', 'fusion')]
    with captured(model, encoders) as found:
        model.image(torch.randn(3, 2))
    assert list(found) == ['image']


def test_representation_that_is_overwritten_is_refused():
    class InPlace(Streams):
        def forward(self, x):
            return torch.relu_(self.streams[0](x))

    with pytest.raises(RuntimeError, match=r"the output of 'streams\.0' was changed in place"):
        capture(InPlace(), torch.randn(3, 2), modules='streams.0')


def test_hooks_are_removed_even_after_an_error():
    model = Streams(lambda x: (x,))
    with pytest.raises(KeyError):
        capture(model, torch.randn(3, 2), modules='streams.0', key=5)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


class LastState(nn.Module):
    """A recurrent layer, of which the last state of the last layer is read."""

    def __init__(self, kind: type[nn.Module]) -> None:
        super().__init__()
        self.layer = kind(2, 3, num_layers=2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        states = self.layer(x)[1]
        return (states[0] if isinstance(states, tuple) else states)[-1]


@pytest.mark.parametrize(('kind', 'key'), [(nn.GRU, [1, -1]), (nn.LSTM, [1, 0, -1]), (nn.LSTM, [1, 0, 1])])
def test_key_picks_a_state_out_of_a_tensor(kind, key):
    model, x = LastState(kind), torch.randn(4, 5, 2)
    expected = model(x)
    torch.testing.assert_close(capture(model, x, modules='layer', key=key), expected)
    encoder = ModalityEncoder.from_config('image', dict(modules='layer', key=key))
    with captured(model, [encoder], dict(image=lambda h: 2 * h)):
        torch.testing.assert_close(model(x), 2 * expected)
    other = ModalityEncoder.from_config('image', dict(modules='layer', key=[*key[:-1], 0]))
    with captured(model, [other], dict(image=lambda h: 2 * h)):
        torch.testing.assert_close(model(x), expected)  # a state that is not read


def test_key_beyond_a_tensor_is_named():
    for key in ([1, 2], [1, 'last'], [1, -1, 9]):
        with pytest.raises(KeyError, match=r'`encoders\.image\.key`: nothing under'):
            capture(LastState(nn.GRU), torch.randn(4, 5, 2), modules='layer', key=key)


class WithParts(nn.Module):
    def __init__(self, **parts: nn.Module) -> None:
        super().__init__()
        self.audio, self.image = nn.Linear(2, 4), nn.Linear(2, 4)
        for name, part in parts.items():
            self.add_module(name, part)


@pytest.mark.parametrize(
    ('parts', 'head', 'hint'),
    [
        # What an activation follows is no head, nor is a norm.
        (dict(fuse=nn.Sequential(nn.Linear(4, 4), nn.ReLU()), out=nn.Linear(4, 3)), 'fuse', "'out'"),
        (dict(fuse=nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)), out=nn.Linear(4, 3)), 'fuse', "'out'"),
        (dict(fuse=nn.Sequential(nn.Linear(4, 4), nn.ReLU()), out=nn.Linear(4, 3)), 'fuse_', "'out'"),
        (dict(words=nn.Embedding(4, 4), norm=nn.LayerNorm(4), out=nn.Conv1d(4, 3, 1)), 'word', "'out'"),
        (
            dict(classifier=nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 3))),
            'classifier',
            "'classifier.2'",
        ),
        (
            dict(fuse=nn.Sequential(nn.ReLU(), nn.Linear(4, 4)), out=nn.Linear(4, 3)),
            'fuse',
            "'fuse.1' or 'out'",
        ),
        # All are followed by something.
        (dict(top=nn.Sequential(nn.Linear(4, 3), nn.Sigmoid())), 'top', "'top.0'"),
    ],
)
def test_only_what_may_be_a_head_is_suggested(parts, head, hint):
    model = WithParts(**parts)
    encoders = [ModalityEncoder.from_config(name, name) for name in ('audio', 'image')]
    with pytest.raises(ValueError, match=rf'`head`: .*\. Did you mean {hint}\?$'):
        check_head(model, head, encoders)

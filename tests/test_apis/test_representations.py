"""Where representations are found: recurrent states, packed sequences, frames, sparse embeddings."""

import copy
import functools

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.optim.swa_utils import AveragedModel

import mmcggm
from mmcggm.apis import without_guides
from tests.test_apis.loops import assert_same, balanced_fusion, double_batches, parameters_of, train_plainly

sgd = functools.partial(torch.optim.SGD, lr=0.1)


class Streams(nn.Module):
    """Words through a GRU, packed, and frames one after another through a network with batch statistics."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(11, 5)
        self.gru = nn.GRU(5, 6, batch_first=True, bidirectional=True)
        self.frame = nn.Sequential(nn.Linear(4, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Dropout(0.5))
        self.fc = nn.Linear(12 + 7, 3)

    def forward(self, *, tokens: Tensor, lengths: Tensor, frames: Tensor, labels: Tensor) -> dict:
        packed = pack_padded_sequence(self.words(tokens), lengths, batch_first=True, enforce_sorted=False)
        _, state = self.gru(packed)
        seen = torch.stack([self.frame(frames[:, i]) for i in range(frames.shape[1])]).mean(0)
        logits = self.fc(torch.cat([*state, seen], dim=1))
        return dict(loss=nn.functional.cross_entropy(logits, labels), logits=logits)


def inputs() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.tensor([3, 5, 2, 4])
    tokens = pad_sequence(
        [torch.randint(1, 11, (n,), generator=generator) for n in lengths], batch_first=True
    )
    frames = torch.randn(4, 3, 4, generator=generator)
    return dict(tokens=tokens, lengths=lengths, frames=frames, labels=torch.tensor([0, 1, 2, 1]))


def words(**picked) -> dict:
    return dict(modules=['words', 'gru'], representation='gru', **picked)


FRAMES = dict(modules='frame', calls='mean')


@pytest.mark.parametrize(
    ('text', 'shape'),
    [
        (words(key=0), (4, 5, 12)),
        (words(key=lambda output: torch.cat([*output[1]], dim=1)), (4, 12)),
        (words(key=[1]), (2, 4, 6)),
    ],
)
def test_a_representation_is_picked(text, shape):
    torch.manual_seed(0)
    model = Streams()
    guides = dict(text=dict(type='AutoGuide', layout='LNC')) if len(shape) == 3 and shape[0] == 2 else {}
    encoders = dict(text=text, video=FRAMES)
    balanced = mmcggm.balance(
        model, encoders, 'fc', 'classification', target='labels', sample=inputs(), guides=guides
    )
    optimizer = balanced.prepare(sgd(model.parameters()))
    with balanced.watch() as seen:
        output = model(**inputs())
    total = balanced.loss(output)
    assert total > output['loss']
    found = seen.found['text'][0] if isinstance(seen.found['text'], tuple) else seen.found['text']
    assert found.shape == shape
    assert balanced.guides['text'].in_channels == shape[-1]
    total.backward()
    optimizer.step()


def test_padding_does_not_count():
    torch.manual_seed(0)
    model = Streams()
    settings = dict(head='fc', task='classification', target='labels', sample=inputs())
    balanced = mmcggm.balance(model, dict(text=words(key=0), video=FRAMES), **settings)
    balanced.prepare(sgd(model.parameters()))
    with balanced.watch() as seen:
        model(**inputs())
    states = seen.found['text'][0]
    expected = torch.stack([state[:n].mean(0) for state, n in zip(states, inputs()['lengths'], strict=True)])
    torch.testing.assert_close(seen.vectors()[0], expected)


def test_the_mean_of_several_calls():
    torch.manual_seed(0)
    model = Streams().eval()
    balanced = mmcggm.balance(model, dict(text=words(key=0), video=FRAMES), 'fc', 'classification')
    balanced.prepare(sgd(model.parameters()))
    with balanced.watch(inputs()['labels']) as seen:
        model(**inputs())
    expected = torch.stack([model.frame(inputs()['frames'][:, i]) for i in range(3)]).mean(0)
    torch.testing.assert_close(seen.found['video'], expected)


def test_a_sample_leaves_no_trace():
    torch.manual_seed(0)
    model = Streams()
    before, random = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    torch.set_rng_state(random)
    balanced = mmcggm.balance(
        model, dict(text=words(key=0), video=FRAMES), 'fc', 'classification', sample=inputs()
    )
    after = torch.get_rng_state()
    assert model.training and model.frame[1].training
    for name, value in balanced.remove().state_dict().items():
        assert torch.equal(value, before[name]), name
    torch.set_rng_state(random)
    widths = {name: dict(type='AutoGuide', in_channels=c) for name, c in (('text', 12), ('video', 7))}
    mmcggm.balance(model, dict(text=words(key=0), video=FRAMES), 'fc', 'classification', guides=widths)
    assert torch.equal(torch.get_rng_state(), after)  # what guides draw, and no more


def test_what_a_function_picks_can_not_be_changed():
    encoders = {f'm{i}': dict(modules=f'encoders.m{i}', key=lambda h, i=i: h) for i in range(3)}
    balanced = balanced_fusion(encoders=encoders, method='MLA')
    balanced.prepare(sgd(balanced.model.parameters()))
    x, label = double_batches(1)[0]
    with pytest.raises(ValueError, match=r'`encoders\.m\d\.key` is a function'), balanced.watch(label):
        balanced.model(x)


class Bags(nn.Module):
    """Two tables of words, whose gradients are sparse or not."""

    def __init__(self, sparse: bool) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(
            {name: nn.EmbeddingBag(20, 6, mode='mean', sparse=sparse) for name in ('title', 'body')}
        )
        self.fc = nn.Linear(6, 3)

    def forward(self, title: Tensor, body: Tensor) -> Tensor:
        return self.fc(torch.tanh(self.encoders['title'](title) + self.encoders['body'](body)))


@pytest.mark.parametrize('magnitude', ['gradient', 'update'])
def test_sparse_gradients_are_balanced_as_dense_ones(magnitude):
    results = []
    for sparse in (False, True):
        torch.manual_seed(0)
        model = Bags(sparse)
        method = dict(type='CGGM', lam=0.1, magnitude=magnitude)
        balanced = mmcggm.balance(
            model, 'encoders', 'fc', 'classification', method, sample=(torch.ones(1, 2).long(),) * 2
        )
        optimizer = balanced.prepare(sgd(model.parameters()))
        generator = torch.Generator().manual_seed(1)
        for _ in range(5):
            title, body = (torch.randint(0, 20, (8, 3), generator=generator) for _ in range(2))
            label = (title.sum(1) + body.sum(1)) % 3
            with balanced.watch(label):
                loss = nn.functional.cross_entropy(model(title, body), label)
            balanced.loss(loss).backward()
            optimizer.step()
            optimizer.zero_grad()
        results.append(parameters_of(model))
    assert_same(*results)


def test_averages_of_weights_and_states_without_guides():
    balanced = balanced_fusion()
    train_plainly(balanced, sgd, double_batches(2))
    average = AveragedModel(balanced.model)  # a deep copy
    average.update_parameters(balanced.model)
    x, _ = double_batches(1)[0]
    torch.testing.assert_close(average(x), balanced.model(x))
    state = {
        name.removeprefix('module.'): value for name, value in without_guides(average.state_dict()).items()
    }
    state.pop('n_averaged')
    plain = balanced.remove()
    plain.load_state_dict(state)
    assert set(state) == set(plain.state_dict())

"""Whether a representation reaches what the model predicts: found in the first pass, and told."""

import copy
import io
from unittest import mock

import pytest
import torch
from mmengine.logging import MMLogger
from torch import Tensor, nn

import mmcggm
from mmcggm.guided.reach import reaching
from mmcggm.registry import MODELS
from tests.many import ManyClassifier
from tests.tiny import attached_wrapper, classifier_guided

KEYS = {'outputs': 0, 'state': [1, -1]}


@MODELS.register_module()
class Recurrent(ManyClassifier):
    """Words through a GRU, whose last state or outputs are read, and a vector, with batch statistics."""

    def __init__(self, read: str = 'state') -> None:
        super().__init__(2)
        self.read = read
        self.words = nn.GRU(4, 8, batch_first=True)
        self.vector = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5))

    def forward(self, x: Tensor, label: Tensor, mode: str = 'tensor'):
        outputs, states = self.words(x)
        words = states[-1] if self.read == 'state' else outputs.mean(1)
        logits = self.fuse([words, self.vector(x[:, 0])])
        return dict(loss=nn.functional.cross_entropy(logits, label)) if mode == 'loss' else logits


def encoders(key) -> dict:
    return dict(words=dict(modules='words', key=key), vector='vector')


def recurrent(key, read: str = 'state', **settings):
    return classifier_guided(
        model=dict(type='Recurrent', read=read),
        encoders=encoders(key),
        guide=dict(type='AutoGuide'),
        **settings,
    )


def batch() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return dict(x=torch.randn(6, 3, 4, generator=generator), label=torch.arange(6) % 3)


@pytest.fixture
def warnings(monkeypatch):
    found = []
    monkeypatch.setattr('mmcggm.guided.guided_pass.warn', found.append)
    return found


def train_in_a_loop(method) -> None:
    model = Recurrent()
    balanced = mmcggm.balance(model, encoders(0), 'classifier', 'classification', method)
    optimizer = balanced.prepare(torch.optim.SGD(model.parameters(), lr=0.1))
    with balanced.watch(batch()['label']):
        loss = model(**batch(), mode='loss')['loss']
    balanced.loss(loss).backward()
    optimizer.step()


def train_through_mmengine(method) -> None:
    guided = recurrent(0)
    wrapper = attached_wrapper(guided, balancer=method)
    guided.train_step(batch(), wrapper)


@pytest.mark.parametrize('method', ['ModalityDropout', 'MLA', 'OPM', 'AMCo', ['Greedy', 'MultiLoss']])
@pytest.mark.parametrize(
    ('train', 'changers'),
    [
        (train_in_a_loop, 'the method or `only` does'),  # a loop has no `present`
        (train_through_mmengine, 'the method, `only` or `present` does'),
    ],
)
def test_to_change_what_nothing_reads_is_refused_in_the_first_pass(method, train, changers):
    """Also by those that change nothing in the first update, such as OPM."""
    message = (
        r"`encoders\.words`: .* the output of 'words' at key=0\. To change it on its way into fusion, as "
        rf'{changers}, would change nothing.*key=\[1, -1\] is the last'
    )
    with pytest.raises(ValueError, match=message):
        train(method)


@pytest.mark.parametrize('settings', [dict(only='vector'), dict(present='present')])
def test_what_is_always_changed_is_refused_too(settings):
    guided = recurrent(0, **settings)
    with pytest.raises(ValueError, match='would change nothing'):
        guided(**batch(), mode='loss')
    recurrent([1, -1], **settings)(**batch(), mode='loss')


@pytest.mark.parametrize('read', KEYS)
@pytest.mark.parametrize('picked', KEYS)
def test_it_is_said_once_and_only_where_it_is_so(read, picked, warnings):
    guided = recurrent(KEYS[picked], read)
    wrapper = attached_wrapper(guided, balancer=dict(type='CGGM'))
    for _ in range(3):
        guided.train_step(batch(), wrapper)
    told = [message for message in warnings if 'does not depend' in message]
    assert len(told) == (read != picked)
    assert guided.reaches == dict(words=read == picked, vector=True)


def test_shares_of_what_does_not_reach_are_not_taken():
    guided = recurrent(0)
    guided.model.late = True  # an affine fusion
    guided(**batch(), mode='loss')
    assert guided.take_pass().shares() is None


@pytest.mark.parametrize('only', [None, 'words'])
def test_finding_out_leaves_no_trace(only):
    """Gradients, statistics, generators and what fusion sees are as in a pass that does not look."""
    results = []
    for looks in (True, False):
        guided = recurrent([1, -1], only=only)
        if not looks:
            guided.reaches = dict(words=True, vector=True)
        wrapper = attached_wrapper(guided, balancer=dict(type='ModalityDropout'))
        torch.manual_seed(1)
        guided.train_step(batch(), wrapper)
        assert guided.reaches == dict(words=True, vector=True)
        results.append([*copy.deepcopy(guided.state_dict()).values(), torch.get_rng_state()])
    assert all(map(torch.equal, *results))


def test_it_is_asked_once(monkeypatch):
    asked = []
    monkeypatch.setattr(
        'mmcggm.guided.guided_pass.reaching', lambda *given: asked.append(given) or reaching(*given)
    )
    guided = recurrent([1, -1])
    wrapper = attached_wrapper(guided, balancer=dict(type='OGM'))
    for _ in range(3):
        guided.train_step(batch(), wrapper)
    assert len(asked) == 1


def test_the_graph_tells_outputs_of_one_operation_apart():
    x = torch.randn(4, requires_grad=True)
    first, second = torch.stack([x, 2 * x]).unbind()
    assert reaching(second.sum(), dict(a=[first], b=[second], x=[x])) == {'b', 'x'}
    assert reaching(second.detach().requires_grad_().sum(), dict(a=[first], b=[second], x=[x])) == set()


def test_each_training_is_warned():
    """MMEngine's loggers leave out a warning that the process has had."""
    logger = MMLogger('warned')  # registers nothing, so that other tests have their own
    text = io.StringIO()
    logger.handlers[0].setStream(text)
    with mock.patch.object(MMLogger, 'get_current_instance', return_value=logger):
        for _ in range(2):
            train_in_a_loop('CGGM')
    assert text.getvalue().count('does not depend') == 2


def test_states_of_all_layers_are_told_by_key():
    guided = recurrent(1)
    message = (
        r"guide of 'words': .*predicts \(1, 3\).* from the output of 'words' at key=1, .*\(1, 6, 8\).*"
        r'`encoders\.words`, .*\[1, -1\] is the last state'
    )
    with pytest.raises(ValueError, match=message):
        guided(**batch(), mode='loss')


def test_a_guide_with_too_few_outputs_is_named():
    model = Recurrent()
    guide = dict(type='AutoGuide', head=nn.Linear(8, 2))
    balanced = mmcggm.balance(
        model,
        encoders([1, -1]),
        None,
        'classification',
        guides=dict(words=guide),
        guide=dict(type='AutoGuide', head=nn.Linear(8, 3)),
    )
    balanced.prepare(torch.optim.SGD(model.parameters(), lr=0.1))
    with balanced.watch(batch()['label']):
        loss = model(**batch(), mode='loss')['loss']
    message = r"guide of 'words': there are 2 outputs, so labels are 0 to 1, but 'target' holds the label 2"
    with pytest.raises(ValueError, match=message):
        balanced.loss(loss)

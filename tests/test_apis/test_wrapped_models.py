"""Models that were compiled, checkpointed or wrapped before they are balanced."""

import pytest
import torch
from torch import distributed as dist
from torch import nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel
from torch.utils.checkpoint import checkpoint

import mmcggm
from tests.test_apis.loops import (
    Fusion,
    assert_same,
    balanced_fusion,
    double_batches,
    fusion,
    parameters_of,
    train_plainly,
)


def sgd(parameters) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.1)


class Counting:
    """A backend of ``torch.compile`` that counts what it compiles, and runs it as it is."""

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, graph, inputs):
        self.graphs += 1
        return graph.forward


@pytest.mark.skipif(torch.__version__ < (2, 14), reason='PyTorch 2.6 does not compile these hooked modules')
@pytest.mark.parametrize('place', ['before', 'encoders'])
def test_a_compiled_model_trains_the_same_and_is_not_compiled_anew(place):
    batches = double_batches(5)
    expected = train_plainly(balanced_fusion(method='MultiLoss'), sgd, batches)
    model, backend, graphs = fusion(), Counting(), []
    if place == 'before':
        model = torch.compile(model, backend=backend)
    else:
        for encoder in model.encoders.values():
            encoder.compile(backend=backend)
    balanced = balanced_fusion(model, method='MultiLoss')
    optimizer = balanced.prepare(sgd(model.parameters()))
    for x, label in batches:
        with balanced.watch(label):
            loss = nn.functional.cross_entropy(model(x), label)
        balanced.loss(loss).backward()
        optimizer.step()
        optimizer.zero_grad()
        graphs.append(backend.graphs)
    assert_same(parameters_of(balanced.model), expected)
    assert graphs[0] and len(set(graphs[1:])) == 1


class Checkpointed(Fusion):
    """Whose encoders are computed again in backward."""

    reentrant = True

    def forward(self, x):
        parts = [
            checkpoint(encoder, part.requires_grad_(), use_reentrant=self.reentrant)
            for encoder, part in zip(self.encoders.values(), x.unbind(1), strict=True)
        ]
        return self.classifier(torch.tanh(sum(parts)))


def checkpointed(reentrant: bool) -> Checkpointed:
    torch.manual_seed(0)
    model = Checkpointed().double()
    model.reentrant = reentrant
    return model


@pytest.mark.parametrize('method', ['CGGM', 'MultiLoss', 'DGL', 'MMPareto'])
@pytest.mark.parametrize('reentrant', [False, True])
def test_a_checkpointed_encoder_trains_the_same_or_is_refused(method, reentrant):
    batches = double_batches(4)
    balanced = balanced_fusion(checkpointed(reentrant), method=method)
    if reentrant and method in ('DGL', 'MMPareto'):
        with pytest.raises(RuntimeError, match=r'use_reentrant=True.*[sS]et use_reentrant=False'):
            train_plainly(balanced, sgd, batches)
        return
    expected = train_plainly(balanced_fusion(method=method), sgd, batches)
    assert_same(train_plainly(balanced, sgd, batches), expected)


def test_a_checkpointed_encoder_may_be_masked_in_evaluation():
    model = checkpointed(True)
    (x, label), *_ = double_batches(1)
    balanced = balanced_fusion(model, only='m0')
    alone = balanced.evaluate([(x, label)])['fused']
    for name in ('m1', 'm2'):
        nn.init.zeros_(model.encoders[name].weight), nn.init.zeros_(model.encoders[name].bias)
    assert balanced.evaluate([(x, label)])['fused'] == alone


@pytest.fixture
def one_process():
    dist.init_process_group('gloo', store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.parametrize('wrap', [DistributedDataParallel, fully_shard])
def test_a_model_that_is_wrapped_for_several_processes_is_refused(one_process, wrap):
    if wrap is fully_shard and not torch.cuda.is_available():
        mesh = dist.init_device_mesh('cpu', (1,))
        model = fully_shard(fusion(), mesh=mesh)
    else:
        model = wrap(fusion())
    with pytest.raises(ValueError, match=r'is wrapped by .* already.* wrap it afterwards'):
        balanced_fusion(model, prefix='module.' if wrap is DistributedDataParallel else '')


def test_encoders_in_a_plain_container_are_named():
    class Listed(nn.Module):
        def __init__(self):
            super().__init__()
            self.nets = [nn.Linear(4, 8), nn.Linear(4, 8)]
            self.by_name = dict(a=nn.Linear(4, 8))
            self.classifier = nn.Linear(8, 3)

    for path, kind in (('nets', 'ModuleList'), ('nets.0', 'ModuleList'), ('by_name.a', 'ModuleDict')):
        with pytest.raises(ValueError, match=rf'plain container.* make it an nn\.{kind}'):
            mmcggm.balance(Listed(), dict(a=path, b='classifier'), 'classifier', 'classification')

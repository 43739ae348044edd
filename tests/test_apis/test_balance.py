"""Five lines in a plain loop train as MMEngine does, and what is forgotten is noticed."""

import copy
import inspect
import re

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import mmcggm
from mmcggm.apis.forgotten import Guides
from mmcggm.apis.loop_pass import LoopPass
from mmcggm.apis.magnitude import suited
from mmcggm.balancers import CGGM
from tests.many import ManyClassifier, many_batches, many_guided
from tests.tiny import build_wrapper

MODALITIES = 3
PAPER = dict(type='CGGM', rho=1.0, lam=0.1, progress='StepProgress')  # the defaults of the class
ENCODERS = {f'm{i}': f'encoders.{i}' for i in range(MODALITIES)}


def plain(late=False, **changes):
    """Return a model, and its balancing, with the weights of :func:`many_guided`."""
    guided = many_guided(MODALITIES, late)
    model = copy.deepcopy(guided.model)
    settings = dict(encoders=ENCODERS, head='classifier', task='classification', method=CGGM())
    balanced = mmcggm.balance(model, **{**settings, **changes})
    model.mmcggm_guides = Guides(copy.deepcopy(dict(guided.guides.items())))
    return model, balanced, guided


def step(model, balanced, optimizer, batch, parts=1):
    for x, label in zip(batch['x'].chunk(parts), batch['label'].chunk(parts), strict=True):
        with balanced.watch(label):
            loss = nn.functional.cross_entropy(model(x, label), label)
        (balanced.loss(loss) / parts).backward()
    optimizer.step()
    optimizer.zero_grad()


@pytest.mark.parametrize(
    ('method', 'make'),
    [
        (dict(PAPER, magnitude='gradient'), lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9)),
        (dict(PAPER, magnitude='update', rho='neutral'), lambda p: torch.optim.AdamW(p, lr=0.01)),
        (dict(type='TeachingCGGM', magnitude='gradient'), lambda p: torch.optim.SGD(p, lr=0.05)),
        (dict(type='OGM'), lambda p: torch.optim.SGD(p, lr=0.05)),
    ],
)
@pytest.mark.parametrize('late', [False, True])
def test_it_equals_the_training_through_mmengine(method, make, late):
    model, balanced, guided = plain(late, method=method)
    optimizer = balanced.prepare(make(model.parameters()))
    name = type(optimizer).__name__
    config = dict(type=name, lr=optimizer.param_groups[0]['lr'])
    if name == 'SGD':
        config['momentum'] = optimizer.param_groups[0]['momentum']
    wrapper = build_wrapper(guided, balancer=method, optimizer=config, guide_optimizer=config)
    for batch in many_batches(MODALITIES, 20):
        guided.train_step(batch, wrapper)
        step(model, balanced, optimizer, batch)
    assert balanced.stats()
    expected = guided.model.state_dict()
    found = {name: value for name, value in model.state_dict().items() if 'mmcggm_guides' not in name}
    assert found.keys() == expected.keys()
    for name, value in found.items():
        assert torch.allclose(value, expected[name], atol=1e-6), name


def test_micro_batches_are_one_batch():
    results = []
    for parts in (1, 4):
        model, balanced, _ = plain(method=dict(PAPER, lam=0.0))
        optimizer = balanced.prepare(torch.optim.SGD(model.parameters(), lr=0.05))
        for batch in many_batches(MODALITIES, 6):
            step(model, balanced, optimizer, batch, parts)
        results.append([p.detach().clone() for p in model.encoders.parameters()])
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a, b, atol=1e-5)


@pytest.mark.parametrize(('name', 'expected'), [('AdamW', 'update'), ('SGD', 'gradient')])
def test_the_magnitude_suits_the_optimizer(name, expected):
    model, balanced, _ = plain(method='CGGM')
    balanced.prepare(getattr(torch.optim, name)(model.parameters(), lr=0.01))
    assert balanced.balancer.magnitude == expected


@pytest.mark.parametrize(
    ('method', 'expected'),
    [
        ('CGGM', ('neutral', 0.0, 'SmoothedProgress')),
        (dict(type='CGGM'), ('neutral', 0.0, 'SmoothedProgress')),
        (dict(type='mmcggm.CGGM', lam=0.2), ('neutral', 0.2, 'SmoothedProgress')),
        (CGGM, ('neutral', 0.0, 'SmoothedProgress')),
        (PAPER, (1.0, 0.1, 'StepProgress')),
        (CGGM(), (1.0, 0.1, 'StepProgress')),
        (['MultiLoss', dict(type='CGGM')], ('neutral', 0.0, 'SmoothedProgress')),
    ],
)
def test_a_name_and_a_config_mean_the_same_and_the_log_says_it(method, expected, monkeypatch):
    messages = []
    monkeypatch.setattr('mmcggm.apis.magnitude.print_log', lambda message, *_: messages.append(message))
    model, balanced, _ = plain(method=method)
    balanced.prepare(torch.optim.AdamW(model.parameters(), lr=0.01))
    found = balanced.balancer.methods[1] if isinstance(method, list) else balanced.balancer
    rho, lam, progress = expected
    assert (found.rho is None) == (rho == 'neutral') and found.lam(0.0) == lam
    assert type(found.progress).__name__ == progress
    *others, message = messages
    assert others == (['MultiLoss balances with weight=1.0.'] if isinstance(method, list) else [])
    if isinstance(method, CGGM):
        assert message == 'CGGM has the settings of the object that `method` is.'
    else:
        assert f'rho={rho!r}, lam={lam}, ' in message and "magnitude='update'" in message
        assert progress in message and 'mmcggm.balancers.CGGM()' in message


@pytest.mark.parametrize(
    ('method', 'expected'),
    [
        ('MultiLoss', 'MultiLoss balances with weight=1.0.'),
        (dict(type='MultiLoss', weight=0.5), 'MultiLoss balances with weight=0.5.'),
        ('DGL', "DGL balances with alpha=1.0, by='guides'."),
        ('TeachingCGGM', 'teach=1.0, rho='),
        (dict(type='TeachingCGGM', tolerance=0.1), 'tolerance=0.1, '),
    ],
)
def test_the_log_says_the_values_of_all_settings(method, expected, monkeypatch):
    messages = []
    monkeypatch.setattr('mmcggm.apis.magnitude.print_log', lambda message, *_: messages.append(message))
    model, balanced, _ = plain(method=method)
    balanced.prepare(torch.optim.AdamW(model.parameters(), lr=0.01))
    (message,) = messages
    assert expected in message and 'the paper' not in message
    values = re.findall(r'(\w+)=', message.partition('. ')[0])
    taken = inspect.signature(type(balanced.balancer)).parameters
    assert len(values) == len(set(values)) and set(values) >= set(taken) - {'kwargs'}


@pytest.mark.parametrize('name', ['SGD', 'AdamW'])
def test_encoders_move_in_proportion_to_their_scale(name, monkeypatch):
    """With ρ B held at (.5, 1.5, 1) the encoders move by these multiples of what they move unbalanced."""
    moved = []
    for method in (dict(PAPER, lam=0.0, rho=2.0), None):
        model, balanced, _ = plain(method=method or dict(type='CGGM', lam=0.0, magnitude='none'))
        optimizer = balanced.prepare(getattr(torch.optim, name)(model.parameters(), lr=1e-3))
        if method:
            held = torch.tensor([0.25, 0.75, 0.5])
            balancer = balanced.balancer
            monkeypatch.setattr(balancer, 'observe', lambda seen: None)
            monkeypatch.setattr(balancer, '_measured', (held, None, held))
        before = [copy.deepcopy(e.weight.data) for e in model.encoders]
        step(model, balanced, optimizer, many_batches(MODALITIES, 1)[0])
        moved.append([(e.weight.data - b).norm() for e, b in zip(model.encoders, before, strict=True)])
    ratios = torch.stack(moved[0]) / torch.stack(moved[1])
    assert torch.allclose(ratios, torch.tensor([0.5, 1.5, 1.0]), atol=0.02)


def test_gradients_may_be_clipped_after_balancing():
    model, balanced, _ = plain()
    optimizer = balanced.prepare(torch.optim.SGD(model.parameters(), lr=0.1))
    (batch,) = many_batches(MODALITIES, 1)
    with balanced.watch(batch['label']):
        loss = nn.functional.cross_entropy(model(**batch), batch['label'])
    balanced.loss(loss).backward()
    balanced.scale()
    scaled = [p.grad.clone() for p in model.encoders.parameters()]
    nn.utils.clip_grad_norm_(model.parameters(), 1e9)
    optimizer.step()
    for p, grad in zip(model.encoders.parameters(), scaled, strict=True):
        assert torch.equal(p.grad, grad)  # not scaled once more


def test_where_updates_are_scaled_gradients_are_clipped_as_they_are():
    """So whether the loop calls ``scale()`` before it clips changes nothing."""
    results = []
    for calls in (True, False):
        model, balanced, _ = plain(method=dict(PAPER, rho='neutral', magnitude='update'))
        optimizer = balanced.prepare(torch.optim.AdamW(model.parameters(), lr=0.01))
        for batch in many_batches(MODALITIES, 4):
            with balanced.watch(batch['label']):
                loss = nn.functional.cross_entropy(model(**batch), batch['label'])
            balanced.loss(loss).backward()
            before = [p.grad.clone() for p in model.parameters()]
            if calls:
                balanced.scale()
            assert all(torch.equal(p.grad, b) for p, b in zip(model.parameters(), before, strict=True))
            nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()
            optimizer.zero_grad()
        results.append([p.detach().clone() for p in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_a_step_that_a_scaler_skips_leaves_no_trace():
    states = []
    for skips in (False, True):
        model, balanced, _ = plain(method=dict(type='CGGM', progress=dict(type='SmoothedProgress')))
        optimizer = balanced.prepare(torch.optim.SGD(model.parameters(), lr=0.05))
        first, second = many_batches(MODALITIES, 2)
        if skips:
            with balanced.watch(first['label']):
                loss = nn.functional.cross_entropy(model(**first), first['label'])
            balanced.loss(loss).backward()
            optimizer.zero_grad()  # and no step
        step(model, balanced, optimizer, second)
        states.append([p.detach().clone() for p in model.parameters()])
    for a, b in zip(*states, strict=True):
        assert torch.equal(a, b)


def test_under_accelerate_it_is_the_same():
    accelerate = pytest.importorskip('accelerate')
    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=2)
    results = []
    for accelerated in (True, False):
        model, balanced, _ = plain(method='CGGM')
        optimizer = balanced.prepare(torch.optim.AdamW(model.parameters(), lr=0.01))
        if not accelerated:
            for batch in many_batches(MODALITIES, 4):
                step(model, balanced, optimizer, batch, parts=2)
        else:
            prepared, optimizer = accelerator.prepare(model, optimizer)
            for batch in many_batches(MODALITIES, 4):
                for x, label in zip(batch['x'].chunk(2), batch['label'].chunk(2), strict=True):
                    with accelerator.accumulate(prepared):
                        with balanced.watch(label):
                            loss = nn.functional.cross_entropy(prepared(x, label), label)
                        accelerator.backward(balanced.loss(loss))
                        optimizer.step()
                        optimizer.zero_grad()
        results.append([p.detach().clone() for p in model.parameters()])
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_under_a_gradient_scaler_it_is_the_same():
    results = []
    for enabled in (True, False):
        model, balanced, _ = plain(method=dict(type='CGGM', lam=0.2))
        optimizer = balanced.prepare(torch.optim.SGD(model.parameters(), lr=0.05))
        scaler = torch.amp.GradScaler('cpu', init_scale=1024.0, enabled=enabled)
        for index, batch in enumerate(many_batches(MODALITIES, 4)):
            with balanced.watch(batch['label']):
                loss = nn.functional.cross_entropy(model(**batch), batch['label'])
            scaler.scale(balanced.loss(loss, scaler=scaler)).backward()
            if enabled and index == 2:  # an overflow: this update is skipped
                model.classifier.weight.grad[0] = torch.inf
            if enabled or index != 2:
                scaler.step(optimizer)
                scaler.update(1024.0 if enabled else None)
            optimizer.zero_grad()
        results.append([p.detach().clone() for p in model.parameters()])
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a, b, atol=1e-6)


@pytest.mark.parametrize('method', ['MMPareto', 'OGM', dict(PAPER, magnitude='gradient')])
def test_gradients_that_are_still_scaled_are_balanced_as_others(method):
    """As with Accelerate, which unscales when it clips, after ``balanced.scale()``."""
    results = []
    for scale, unscaled_first in ((None, False), (1024.0, False), (1024.0, True)):
        model, balanced, _ = plain(method=method)
        optimizer = balanced.prepare(torch.optim.SGD(model.parameters(), lr=0.05))
        scaler = torch.amp.GradScaler('cpu', init_scale=scale or 1.0, enabled=scale is not None)
        for batch in many_batches(MODALITIES, 4):
            with balanced.watch(batch['label']):
                loss = nn.functional.cross_entropy(model(**batch), batch['label'])
            scaler.scale(balanced.loss(loss, scaler=scaler)).backward()
            if unscaled_first:
                scaler.unscale_(optimizer)
            balanced.scale()
            if not unscaled_first:
                scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
        results.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    for found in results[1:]:
        torch.testing.assert_close(found, results[0])


def test_a_closure_is_balanced_where_it_says_so():
    model, balanced, _ = plain()
    optimizer = balanced.prepare(torch.optim.SGD(model.parameters(), lr=0.05))
    other, other_balanced, _ = plain()
    other_optimizer = other_balanced.prepare(torch.optim.SGD(other.parameters(), lr=0.05))

    def closure(batch, scales):
        optimizer.zero_grad()
        with balanced.watch(batch['label']):
            loss = nn.functional.cross_entropy(model(**batch), batch['label'])
        balanced.loss(loss).backward()
        if scales:
            balanced.scale()
        return loss

    for batch in many_batches(MODALITIES, 3):
        optimizer.step(lambda batch=batch: closure(batch, True))
        step(other, other_balanced, other_optimizer, batch)
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
    with pytest.raises(RuntimeError, match=r'inside `optimizer\.step\(closure\)`, and nothing was balanced'):
        optimizer.step(lambda: closure(batch, False))


def test_state_goes_on_where_it_stopped():
    def fresh():
        model, balanced, _ = plain(method='CGGM', updates=8)
        return model, balanced, balanced.prepare(torch.optim.AdamW(model.parameters(), lr=0.01))

    batches = many_batches(MODALITIES, 8)
    whole, first, second = fresh(), fresh(), fresh()
    for batch in batches:
        step(*whole, batch)
    for batch in batches[:4]:
        step(*first, batch)
    for part, saved in zip(second, first, strict=True):
        part.load_state_dict(copy.deepcopy(saved.state_dict()))
    for batch in batches[4:]:
        step(*second, batch)
    assert all(torch.equal(a, b) for a, b in zip(whole[0].parameters(), second[0].parameters(), strict=True))
    assert second[1].clock.progress == pytest.approx(1.0)


@pytest.mark.parametrize('method', [None, 'MultiLoss', 'DGL', 'OGM', 'CGGM', ['OGM', 'MultiLoss']])
def test_stats_always_have_the_scores_of_the_last_batch(method):
    """They are what the guides, as they were before the step, get right of it."""
    model, balanced, _ = plain(method=method)
    assert balanced.stats() == {}
    optimizer = balanced.prepare(torch.optim.SGD(model.parameters(), lr=1.0))
    for batch in many_batches(MODALITIES, 2):
        before = copy.deepcopy(model)
        step(model, balanced, optimizer, batch)
    guides = before.mmcggm_guides.items()
    parts = zip(guides, before.encoders, batch['x'].unbind(1), strict=True)
    right = {n: guide(encoder(x)).argmax(1) == batch['label'] for (n, guide), encoder, x in parts}
    expected = {f'score/{name}': own.double().mean().item() for name, own in right.items()}
    found = balanced.stats()
    assert {name: found[name] for name in expected} == pytest.approx(expected)


class HostReads(TorchDispatchMode):
    """Counts what reads a value on the host, which waits for a device."""

    count = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.count += 'local_scalar_dense' in str(function)
        return function(*args, **(kwargs or {}))


READS = {
    'stats': lambda balanced, batch: balanced.stats(),
    'state_dict': lambda balanced, batch: balanced.state_dict(),
    'evaluate': lambda balanced, batch: balanced.evaluate([batch]),
}


@pytest.mark.parametrize('method', [None, 'MultiLoss', ['OGM', 'MultiLoss'], dict(PAPER, lam=0.0)])
@pytest.mark.parametrize('read', READS)
def test_what_was_not_finite_is_said_when_anything_is_read(method, read, monkeypatch):
    messages = []
    monkeypatch.setattr('mmcggm.apis.balanced.warn', messages.append)
    model, balanced, _ = plain(method=method)
    assert balanced.events == {}
    optimizer = balanced.prepare(torch.optim.SGD(model.parameters(), lr=0.1))
    first, second = many_batches(MODALITIES, 2)
    step(model, balanced, optimizer, first)  # what the first pass finds out may wait
    batch = (dict(x=second['x'], label=second['label']), second['label'])
    with HostReads() as reads:
        step(model, balanced, optimizer, second)
        for index in range(2):
            x = second['x'].clone()
            x[index] = torch.nan
            with balanced.watch(second['label']):
                loss = nn.functional.cross_entropy(model(x, second['label']), second['label'])
            balanced.loss(loss).backward()
            balanced.skip()
            optimizer.step()
            optimizer.zero_grad()
    assert reads.count == 0 and not messages
    READS[read](balanced, batch)
    said = [message for message in messages if 'the loss of a pass was not finite, ' in message]
    assert len(said) == 1 and said[0].endswith('finite, 2 times')
    assert balanced.events['the loss of a pass was not finite'] == 2
    READS[read](balanced, batch)
    assert len([message for message in messages if 'the loss' in message]) == 1


def test_the_scores_of_stats_are_counted_when_they_are_asked_for(monkeypatch):
    model, balanced, _ = plain(method='MultiLoss')
    counted = []
    counts = LoopPass.counts
    monkeypatch.setattr(LoopPass, 'counts', lambda seen: counted.append(seen) or counts(seen))
    optimizer = balanced.prepare(torch.optim.SGD(model.parameters(), lr=0.1))
    step(model, balanced, optimizer, many_batches(MODALITIES, 1)[0])
    assert not counted
    balanced.stats()
    (kept,) = counted
    held = [kept._predictions[name] for name in balanced.modalities]
    assert not any(tensor.requires_grad for tensor in held)
    assert set(kept.found.values()) == {None} and set(kept.batch) == {'target'}


@pytest.mark.parametrize(
    ('theirs', 'ours', 'names'),
    [
        ('MultiLoss', 'CGGM', ('MultiLoss', 'CGGM')),
        ('MultiLoss', 'MMPareto', ('MultiLoss', 'MMPareto')),
        ('OGM', 'CGGM', ('OGM', 'CGGM')),
        ('CGGM', 'TeachingCGGM', ('CGGM', 'TeachingCGGM')),
        (None, 'DGL', ('None', 'DGL')),
        (['OGM', 'MultiLoss'], 'OGM', ('OGM and MultiLoss', 'OGM')),
        ('CGGM', ['CGGM', 'MultiLoss'], ('CGGM', 'CGGM and MultiLoss')),
    ],
)
def test_the_state_of_another_method_is_refused(theirs, ours, names):
    def prepared(method):
        model, balanced, _ = plain(method=method)
        balanced.prepare(torch.optim.SGD(model.parameters(), lr=0.1))
        return balanced

    other, balanced = prepared(theirs), prepared(ours)
    other.clock.iteration = 7
    with pytest.raises(
        ValueError, match=f'training with {names[0]}, but `method` of this one is {names[1]}. '
    ):
        balanced.load_state_dict(other.state_dict())
    assert balanced.clock.iteration == 0
    own = prepared(ours)
    own.clock.iteration = 7
    balanced.load_state_dict({k: v for k, v in own.state_dict().items() if k != 'method'})  # as it was saved
    assert balanced.clock.iteration == 7


def test_the_model_is_given_back_as_it_was():
    guided = many_guided(MODALITIES)
    before = set(guided.model.state_dict())
    balanced = mmcggm.balance(guided.model, ENCODERS, 'classifier', 'classification')
    copy.deepcopy(guided.model)  # as for an average of weights
    assert set(guided.model.state_dict()) > before
    assert set(balanced.remove().state_dict()) == before


@pytest.mark.parametrize('scaled', [True, False])
def test_after_removal_steps_are_plain_and_the_rest_is_refused(scaled):
    model, balanced, _ = plain(method=dict(PAPER, magnitude='update', rho='neutral'))
    optimizer = balanced.prepare(torch.optim.AdamW(model.parameters(), lr=0.1))
    first, second = many_batches(MODALITIES, 2)
    step(model, balanced, optimizer, first)
    with balanced.watch(second['label']):
        loss = nn.functional.cross_entropy(model(**second), second['label'])
    balanced.loss(loss).backward()
    if scaled:
        balanced.scale()
    other = copy.deepcopy(model)
    other_optimizer = torch.optim.AdamW(other.parameters(), lr=0.1)
    other_optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for own, p in zip(model.parameters(), other.parameters(), strict=True):
        p.grad = own.grad.clone()
    assert balanced.remove() is model
    for one in (optimizer, other_optimizer):
        one.step()
    del other.mmcggm_guides
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    assert balanced.stats() and balanced.state_dict()
    for call in (
        lambda: balanced.watch(None).__enter__(),
        lambda: balanced.loss(loss),
        balanced.scale,
        balanced.skip,
        lambda: balanced.prepare(optimizer),
        lambda: balanced.evaluate([]),
        balanced.remove,
    ):
        with pytest.raises(RuntimeError, match=r'`balanced\.remove\(\)` has taken the guides out of Many'):
            call()


def test_two_functions_are_a_task():
    model, balanced, _ = plain(
        task=(lambda p, t: nn.functional.cross_entropy(p, t), lambda p, t: p.argmax(1) == t)
    )
    named, named_balanced, _ = plain()
    for m, b in ((model, balanced), (named, named_balanced)):
        optimizer = b.prepare(torch.optim.SGD(m.parameters(), lr=0.05))
        for batch in many_batches(MODALITIES, 3):
            step(m, b, optimizer, batch)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), named.parameters(), strict=True))


@pytest.mark.parametrize('loss_inside', [True, False])
def test_it_trains_under_autocast(loss_inside):
    model, balanced, _ = plain(method=dict(type='CGGM', lam=0.1))
    optimizer = balanced.prepare(torch.optim.SGD(model.parameters(), lr=0.05))
    for batch in many_batches(MODALITIES, 2):
        before = [p.detach().clone() for p in balanced.guides.parameters()]
        with torch.autocast('cpu', torch.bfloat16):
            with balanced.watch(batch['label']):
                loss = nn.functional.cross_entropy(model(**batch), batch['label'])
            total = balanced.loss(loss) if loss_inside else None
        (balanced.loss(loss) if total is None else total).backward()
        optimizer.step()
        optimizer.zero_grad()
        assert not any(torch.equal(a, b) for a, b in zip(before, balanced.guides.parameters(), strict=True))
    assert all(p.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(encoders=dict(a='encoders.0')), 'at least two modalities'),
        (dict(encoders=dict(a='encoders.0', b='encoders.7')), "has no module 'encoders.7'"),
        (dict(encoders=dict(a='encoders.0', b='encoders.0')), 'share parameters'),
        (
            dict(encoders=['encoders.0', 'encoders.1']),
            '`encoders` must name the encoder of each',
        ),
        (dict(encoders={0: 'encoders.0', 1: 'encoders.1'}), r'names without dots, got \[0, 1\]'),
        (dict(encoders={'a.b': 'encoders.0', '': 'encoders.1'}), r"names without dots, got \['a\.b', ''\]"),
        (dict(head=nn.Linear(8, 3)), 'The Linear that was given is no module of the model'),
        (dict(head='fc'), "`head`: ManyClassifier has no module 'fc'. Did you mean 'classifier'"),
        (dict(method='cggm'), "Did you mean 'CGGM'"),
        (dict(task='classificaton'), "Did you mean 'classification'"),
        (dict(head='encoders.0'), "`head`: 'encoders.0' belongs to the encoder of 'm0'"),
        (dict(task='ranking'), r"`task` must be one of \['classification'"),
        (
            dict(only='audio'),
            r"`only` must be one of the names in `encoders`, \['m0', 'm1', 'm2'\], got 'audio'",
        ),
        (dict(method='CGM'), r"`method\.type`: there is no balancer 'CGM'\. Did you mean 'CGGM'"),
        (dict(method=['OGM', 'MultLoss']), r"`method\[1\]\.type`.* Did you mean 'MultiLoss'"),
        (dict(method=dict(type='CGGM', lambda_=1)), r"`method`: CGGM has no argument 'lambda_'"),
        (dict(method='ReLearning'), 'ReLearning, which needs whole data sets and to know where epochs end'),
        (dict(method='AGM'), 'AGM, which needs what the model would predict from other representations'),
        (dict(method='UMT'), 'UMT, which needs teachers, .* such as `MultiLoss`, `TeachingCGGM`'),
        (dict(method=['MLB', 'CML']), 'MLB and CML, which needs what the model would predict'),
    ],
)
def test_a_wrong_setting_is_named(changes, message):
    settings = dict(encoders=ENCODERS, head='classifier', task='classification')
    with pytest.raises(ValueError, match=message):
        mmcggm.balance(ManyClassifier(MODALITIES), **{**settings, **changes})


def test_modules_may_be_given_themselves():
    model = ManyClassifier(MODALITIES)
    encoders = dict(a=model.encoders[0], b=[model.encoders[1]], c=dict(modules=model.encoders[2]))
    balanced = mmcggm.balance(model, encoders, model.classifier, 'classification')
    found = [encoder.modules for encoder in balanced._guided.encoders]
    assert found == [(f'encoders.{i}',) for i in range(MODALITIES)]
    assert balanced._guided.heads.distinct == ['classifier']


def test_an_encoder_that_is_never_called_is_said_once(monkeypatch):
    class Parts(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Sequential(nn.Linear(4, 8)), nn.Linear(4, 8)
            self.fc = nn.Linear(8, 3)

        def forward(self, x):
            return self.fc(self.a[0](x) + self.b(x))

    said = []
    monkeypatch.setattr('mmcggm.guided.guided_pass.warn', said.append)
    model = Parts()
    balanced = mmcggm.balance(model, dict(a='a', b='b'), 'fc', 'classification', 'MultiLoss')
    optimizer = balanced.prepare(torch.optim.SGD(model.parameters(), lr=0.1))
    for _ in range(3):
        with balanced.watch(torch.zeros(2, dtype=torch.long)):
            loss = model(torch.ones(2, 4)).sum()
        balanced.loss(loss).backward()
        optimizer.step()
    assert len(said) == 1 and "'a' was not called" in said[0] and 'name as `representation`' in said[0]


def test_what_is_forgotten_is_noticed():
    model, balanced, _ = plain()
    with pytest.raises(ValueError, match=r'parameters of the guides: make it from `model\.parameters\(\)`'):
        balanced.prepare(torch.optim.SGD(model.encoders.parameters(), lr=0.1))
    with pytest.raises(RuntimeError, match='prepare'), balanced.watch(None):
        pass
    optimizer = balanced.prepare(torch.optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(RuntimeError, match='No pass was watched'):
        balanced.loss(torch.ones(()))
    with pytest.raises(RuntimeError, match='nothing to balance'):
        optimizer.step()
    (batch,) = many_batches(MODALITIES, 1)
    with balanced.watch(batch['label']):
        model(**batch)
    with pytest.raises(
        RuntimeError, match=r'nothing to balance.* Take `balanced\.loss\(loss\)\.backward\(\)`'
    ):
        optimizer.step()
    with balanced.watch(batch['label']):
        loss = nn.functional.cross_entropy(model(**batch), batch['label'])
    balanced.loss(loss).backward()
    balanced.scale()
    with pytest.raises(RuntimeError, match=r'balanced already: `balanced\.scale\(\)` or'):
        balanced.scale()
    optimizer.step()
    with pytest.raises(RuntimeError, match=r'no `balanced\.loss\(…\)` came since the last step'):
        balanced.scale()
    with pytest.raises(ValueError, match='is balanced already'):
        mmcggm.balance(model, ENCODERS, 'classifier', 'classification')


def test_a_training_that_is_not_watched_is_noticed(monkeypatch):
    messages = []
    monkeypatch.setattr('mmcggm.apis.forgotten.warn', messages.append)
    model, balanced, _ = plain()
    (batch,) = many_batches(MODALITIES, 1)
    model.eval()(**batch)
    with torch.no_grad():
        model.train()(**batch)
        model(**batch)
    model(**batch)  # such as one that materialises lazy layers
    assert not messages
    for _ in range(3):
        model(**batch)
    assert len(messages) == 1
    assert messages[0].startswith('ManyClassifier trains, but nothing is balanced')
    balanced.remove()
    assert not model._forward_pre_hooks


def test_a_step_of_another_optimizer_is_noticed():
    model, balanced, _ = plain()
    balanced.prepare(torch.optim.SGD(model.parameters(), lr=0.1))
    other = torch.optim.SGD(model.parameters(), lr=0.1)
    first, second = many_batches(MODALITIES, 2)
    step(model, balanced, other, first)
    with pytest.raises(RuntimeError, match=r'not by the optimizer of `balanced.prepare'):
        step(model, balanced, other, second)


def test_an_optimizer_may_be_wrapped_already():
    class Wrapped(torch.optim.Optimizer):
        def __init__(self, optimizer):
            self.optimizer = optimizer

    model, balanced, _ = plain(method='CGGM')
    inner = torch.optim.AdamW(model.parameters(), lr=0.1)
    torch.optim.lr_scheduler.StepLR(inner, 1)
    wrapped = Wrapped(inner)
    assert balanced.prepare(wrapped) is wrapped
    assert len(inner.param_groups) == 1
    step(model, balanced, inner, many_batches(MODALITIES, 1)[0])
    assert balanced.balancer.updates == 1


def test_an_update_that_was_scaled_and_then_skipped_leaves_no_trace():
    """As where gradients are unscaled, balanced and clipped, and the scaler then finds an overflow."""
    states = []
    for skips in (False, True):
        model, balanced, _ = plain(method='CGGM')
        optimizer = balanced.prepare(torch.optim.AdamW(model.parameters(), lr=0.05))
        first, second = many_batches(MODALITIES, 2)
        if skips:
            with balanced.watch(first['label']):
                loss = nn.functional.cross_entropy(model(**first), first['label'])
            balanced.loss(loss).backward()
            balanced.scale()
            optimizer.zero_grad()
        step(model, balanced, optimizer, second)
        states.append([p.detach().clone() for p in model.parameters()])
    for a, b in zip(*states, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    'name', ['SGD', 'LBFGS', 'ASGD', 'AdamW', 'Adafactor', 'RMSprop', 'Rprop', 'Muon', 'Lion', 'AdamW8bit']
)
def test_the_magnitude_of_all_kinds_of_optimizers(name):
    kind = getattr(torch.optim, name, type(name, (torch.optim.SGD,), {}))
    expected = 'gradient' if name in ('SGD', 'LBFGS', 'ASGD') else 'update'
    optimizer = kind([nn.Parameter(torch.ones(2, 2))])
    assert suited('CGGM', optimizer, True)['magnitude'] == expected
    assert suited(dict(type='CGGM', magnitude='none'), optimizer, True)['magnitude'] == 'none'
    assert suited([dict(type='OGM'), 'MLB'], optimizer, True) == [dict(type='OGM'), dict(type='MLB')]


def test_updates_of_lbfgs_can_not_be_scaled():
    model, balanced, _ = plain(method=dict(type='CGGM', magnitude='update'))
    with pytest.raises(ValueError, match='LBFGS takes several times a step'):
        balanced.prepare(torch.optim.LBFGS(model.parameters()))


@pytest.mark.parametrize('found', [torch.ones(3), dict(logits=torch.ones(2)), ('loss',), None])
def test_what_has_no_loss_is_named(found):
    model, balanced, _ = plain()
    balanced.prepare(torch.optim.SGD(model.parameters(), lr=0.1))
    (batch,) = many_batches(MODALITIES, 1)
    with balanced.watch(batch['label']):
        model(**batch)
    with pytest.raises(ValueError, match=r'`balanced\.loss` takes the loss of the model'):
        balanced.loss(found)

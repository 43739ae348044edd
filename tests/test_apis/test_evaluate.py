"""What guides, their control and the fused model score in a loop, and a modality that is trained alone."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

import mmcggm
from mmcggm.apis.forgotten import Guides
from tests.many import many_batches, many_guided
from tests.test_apis.loops import balanced_fusion, double_batches, parameters_of, train_plainly

MODALITIES = ('m0', 'm1', 'm2')


class Rough(nn.Module):
    """With all that draws at random or keeps statistics, and that writes into what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(
            {m: nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3)) for m in MODALITIES}
        )
        self.classifier = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        parts = zip(self.encoders.values(), x.unbind(1), strict=True)
        logits = self.classifier(torch.tanh(sum(encoder(part) for encoder, part in parts)))
        if not self.training:
            x.zero_()
        return logits


def rough() -> nn.Module:
    torch.manual_seed(0)
    return Rough().double()


def sgd(parameters):
    return torch.optim.SGD(parameters, lr=0.1, momentum=0.9)


def copied(batches):
    return [(x.clone(), label) for x, label in batches]


@pytest.mark.parametrize('method', [None, 'CGGM'])
def test_evaluation_is_that_of_mmengine(method):
    guided = many_guided(3)
    batches = many_batches(3, 3, 7)
    balanced = mmcggm.balance(copy.deepcopy(guided.model), 'encoders', 'classifier', 'classification', method)
    balanced.model.mmcggm_guides = Guides(
        dict(zip('012', copy.deepcopy([*guided.guides.values()]), strict=True))
    )
    found = balanced.evaluate(batches, run=lambda batch: balanced.model(**batch) is None or batch['label'])
    hits, fused = torch.zeros(3), 0
    for batch in batches:
        with torch.no_grad(), guided.watch() as seen:
            logits = guided(**batch)
        hits += seen.counts()[:, 0, 0]
        fused += (logits.argmax(1) == batch['label']).sum().item()
    expected = {f'guide/{index}': hits[index].item() / 21 for index in range(3)}
    assert found == pytest.approx({**expected, 'fused': fused / 21})


def by_name(x, label):
    return dict(x=x), label


def in_a_list(x, label):
    return [[x], label]


def flat(x, label):
    return x, label


@pytest.mark.parametrize('kind', [by_name, in_a_list, flat])
def test_batches_of_any_kind(kind):
    balanced = balanced_fusion(method=None)
    batches = double_batches(2)
    expected = balanced.evaluate(batches, run=lambda batch: balanced.model(batch[0]) is None or batch[1])
    assert balanced.evaluate([kind(*batch) for batch in batches]) == expected
    samples = [kind(x[0], label[0]) for x, label in double_batches(9, 1)]
    assert set(balanced.evaluate(DataLoader(samples, batch_size=4))) == set(expected)


def test_a_target_that_forward_gets():
    class WithLoss(nn.Module):
        def __init__(self, net) -> None:
            super().__init__()
            self.net = net

        def forward(self, x, labels):
            return dict(loss=nn.functional.cross_entropy(self.net(x), labels))

    inner, batches = balanced_fusion(), double_batches(2)
    expected = inner.evaluate(batches)
    balanced = balanced_fusion(WithLoss(inner.remove()), 'net.', target='labels')
    assert balanced.evaluate([dict(x=x, labels=label) for x, label in batches]) == expected


@pytest.mark.parametrize('batch', [torch.ones(2, 3), dict(x=torch.ones(2))])
def test_other_batches_are_named(batch):
    with pytest.raises(ValueError, match=r'takes batches \(inputs, target\), .* give `run`'):
        balanced_fusion().evaluate([batch])
    with pytest.raises(ValueError, match='a loader without batches'):
        balanced_fusion().evaluate([])


def test_evaluation_and_control_leave_the_training_as_it_is():
    results = []
    for looks in (True, False):
        balanced = balanced_fusion(rough(), control=looks)
        model, states = balanced.model, []
        optimizer = balanced.prepare(sgd(model.parameters()))
        torch.manual_seed(5)
        model.encoders['m1'][1].eval()  # a mode of its own
        for x, label in copied(double_batches(6)):
            if looks:
                loader = DataLoader(copied(double_batches(2)), batch_size=None, shuffle=True)
                found = balanced.evaluate(loader)
                assert all(f'guide_untrained/{m}' in found for m in MODALITIES)
            with balanced.watch(label):
                loss = nn.functional.cross_entropy(model(x), label)
            balanced.loss(loss).backward()
            optimizer.step()
            optimizer.zero_grad()
            states += [*map(torch.clone, model.state_dict().values()), torch.get_rng_state()]
        assert [m.training for m in model.modules()].count(False) == 1
        results.append(states)
    assert all(map(torch.equal, *results))


def still(optimizer, **settings):
    """Return what makes an optimizer in which the guides alone learn."""

    def make(parameters):
        named = list(parameters)
        guides, others = named[-12:], named[:-12]  # three guides of two layers
        return optimizer([dict(params=others, lr=0.0), dict(params=guides)], **settings)

    return make


@pytest.mark.parametrize('parts', [1, 3])
@pytest.mark.parametrize(
    'make', [still(torch.optim.SGD, lr=0.2, momentum=0.9), still(torch.optim.AdamW, lr=0.01)]
)
def test_control_is_the_guide_of_an_encoder_that_stands_still(make, parts):
    balanced = balanced_fusion(method=None, control=True)
    train_plainly(balanced, make, double_batches(6), parts)
    copied_guides = balanced._control._untrained._guided.guides
    for own, control in zip(balanced.guides.parameters(), copied_guides.parameters(), strict=True):
        torch.testing.assert_close(own, control)
    scores = balanced.evaluate(double_batches(3))
    assert all(scores[f'guide/{m}'] == scores[f'guide_untrained/{m}'] for m in MODALITIES)


def test_control_follows_loss_scaling_and_skipped_steps():
    balanced = balanced_fusion(method=None, control=True)
    optimizer = balanced.prepare(still(torch.optim.SGD, lr=0.2, momentum=0.9)(balanced.model.parameters()))
    scaler = torch.amp.GradScaler('cpu', init_scale=1024.0)
    for index, (x, label) in enumerate(double_batches(5)):
        with balanced.watch(label):
            loss = nn.functional.cross_entropy(balanced.model(x), label)
        scaler.scale(balanced.loss(loss, scaler=scaler)).backward()
        if index == 2:  # an overflow: this update is skipped
            balanced.model.classifier.weight.grad[0] = torch.inf
        scaler.step(optimizer)
        scaler.update(1024.0)
        optimizer.zero_grad()
    control = balanced._control._untrained._guided.guides
    for own, copied_one in zip(balanced.guides.parameters(), control.parameters(), strict=True):
        torch.testing.assert_close(own, copied_one)


def test_control_goes_on_where_it_stopped():
    batches = double_batches(6)
    whole, first, second = (balanced_fusion(method=None, control=True) for _ in range(3))
    train_plainly(whole, torch.optim.Adam, batches)
    optimizer = [None, None]
    for index, (balanced, own) in enumerate(((first, batches[:3]), (second, batches[3:]))):
        optimizer[index] = balanced.prepare(torch.optim.Adam(balanced.model.parameters()))
        if index:
            second.model.load_state_dict(copy.deepcopy(first.model.state_dict()))
            second.load_state_dict(copy.deepcopy(first.state_dict()))
            optimizer[1].load_state_dict(copy.deepcopy(optimizer[0].state_dict()))
        for x, label in own:
            with balanced.watch(label):
                loss = nn.functional.cross_entropy(balanced.model(x), label)
            balanced.loss(loss).backward()
            optimizer[index].step()
            optimizer[index].zero_grad()
    assert second.evaluate(batches) == whole.evaluate(batches)
    expected, found = (b.state_dict()['control']['weights'] for b in (whole, second))
    assert all(torch.equal(value, found[name]) for name, value in expected.items())
    plain = balanced_fusion(method=None)
    plain.prepare(torch.optim.Adam(plain.model.parameters()))
    with pytest.raises(ValueError, match='without `control=True`'):
        second.load_state_dict(plain.state_dict())


def test_control_goes_on_when_layers_thaw():
    """A group of parameters that joins the optimizer later is of the model, and changes nothing of it."""
    controls = []
    for thaws in (False, True):
        balanced = balanced_fusion(method=None, control=True)
        head = balanced.model.classifier.requires_grad_(False)
        optimizer = balanced.prepare(sgd([p for p in balanced.model.parameters() if p.requires_grad]))
        for index, (x, label) in enumerate(double_batches(4)):
            if thaws and index == 2:
                optimizer.add_param_group(dict(params=list(head.requires_grad_(True).parameters())))
            with balanced.watch(label):
                loss = nn.functional.cross_entropy(balanced.model(x), label)
            balanced.loss(loss).backward()
            optimizer.step()
            optimizer.zero_grad()
        controls.append([*balanced._control._untrained._guided.guides.parameters()])
    for without, with_ in zip(*controls, strict=True):
        assert torch.equal(without, with_)


def test_what_a_control_can_not_follow():
    balanced = balanced_fusion(method=None, control=True)
    with pytest.raises(RuntimeError, match='prepare'):
        balanced.evaluate(double_batches(1))
    with pytest.raises(ValueError, match=r'`control=True` .* LBFGS'):
        balanced.prepare(torch.optim.LBFGS(balanced.model.parameters()))


def test_one_modality_alone_is_seen_and_trained():
    """In training, in evaluation, and in a copy; removed, the model is as it was."""
    balanced = balanced_fusion(only='m1', method=None)
    model = balanced.model
    guided = copy.deepcopy(model)
    resting = [copy.deepcopy(model.encoders[m].state_dict()) for m in ('m0', 'm2')]
    train_plainly(balanced, sgd, double_batches(4))
    for m, old in zip(('m0', 'm2'), resting, strict=True):
        assert all(torch.equal(value, old[name]) for name, value in model.encoders[m].state_dict().items())
    x, label = double_batches(1)[0]
    other = torch.randn_like(x)
    other[:, 1] = x[:, 1]
    for own in (model, copy.deepcopy(model), guided):
        torch.testing.assert_close(own(x), own(other), rtol=0, atol=0)
        h = own.encoders['m1'](x[:, 1])
        torch.testing.assert_close(own(x), own.classifier(torch.tanh(h)))
    scores = balanced.evaluate([(x, label)])
    assert scores['fused'] == (model(x).argmax(1) == label).double().mean().item()
    alone = model(x)
    assert not torch.equal(balanced.remove()(x), alone)


def test_guides_of_the_others_see_their_own_representations():
    balanced = balanced_fusion(only='m1', method=None)
    (x, label), *_ = double_batches(1)
    balanced.prepare(sgd(balanced.model.parameters()))
    with balanced.watch(label) as seen:
        loss = nn.functional.cross_entropy(balanced.model(x), label)
    balanced.loss(loss)
    encoder = balanced.remove().encoders['m0']
    torch.testing.assert_close(seen.found['m0'], encoder(x[:, 0]))


def test_guides_that_only_watch_leave_the_training_as_it_is():
    batches = double_batches(5)
    balanced = balanced_fusion(method=None)
    watched = train_plainly(balanced, sgd, batches)
    plain = balanced_fusion(method=None).remove()
    optimizer = sgd(plain.parameters())
    for x, label in batches:
        optimizer.zero_grad()
        nn.functional.cross_entropy(plain(x), label).backward()
        optimizer.step()
    assert set(balanced.stats()) == {f'score/{name}' for name in balanced.modalities}
    expected = parameters_of(plain)
    assert all(map(torch.equal, watched[: len(expected)], expected))

"""The guided model: guides beside a model that stays as it is."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.dataset import default_collate
from mmengine.model import BaseModel
from torch import nn
from torch.nn import functional as F

from mmcggm.balancers import CGGM
from mmcggm.guided import AutoGuide, GuidedModel, strip_guides
from tests.streams import LAYERS, Streams, streams_batch, streams_guided
from tests.tiny import ENCODERS, TinyClassifier, TinyData, TinyGuide, attached, tiny_guided


@pytest.fixture
def batch():
    data = TinyData(16)
    return default_collate([data[i] for i in range(16)])


def test_losses_are_the_models_and_the_guides(batch):
    guided = tiny_guided()
    losses = guided(**batch, mode='loss')
    assert set(losses) == {'loss', 'guide_left.loss', 'guide_right.loss'}
    torch.testing.assert_close(losses['loss'], guided.model(**batch, mode='loss')['loss'])


def test_guides_send_no_gradient_to_the_model(batch):
    guided = tiny_guided()
    losses = guided(**batch, mode='loss')
    (losses['guide_left.loss'] + losses['guide_right.loss']).backward()
    assert all(p.grad is None for p in guided.model.parameters())
    assert all(p.grad is not None for p in guided.guides.parameters())


def test_each_guide_sees_its_own_modality(batch):
    guided = tiny_guided()
    before = guided(**batch, mode='loss')
    after = guided(**{**batch, 'right': batch['right'] + 1}, mode='loss')
    assert torch.equal(before['guide_left.loss'], after['guide_left.loss'])
    assert not torch.equal(before['guide_right.loss'], after['guide_right.loss'])


@pytest.mark.parametrize('mode', ['tensor', 'predict'])
def test_prediction_is_the_inner_models(mode, batch):
    guided = tiny_guided()
    calls = []
    guided.guides['left'].register_forward_hook(lambda *_: calls.append(1))
    result, expected = guided(**batch, mode=mode), guided.model(**batch, mode=mode)
    assert all(torch.equal(a, b) for a, b in zip(result, expected, strict=True)) and not calls


def test_step_holds_what_a_balancer_needs(batch):
    guided = tiny_guided()
    losses = guided(**batch, mode='loss')
    step = guided.take_pass()
    assert step.task_loss is losses['loss'] or torch.equal(step.task_loss, losses['loss'])
    assert step.counts().shape == (2, 1, 2) and step.counts()[:, 0, 1].tolist() == [16, 16]
    assert step.head_weight is guided.model.classifier.weight
    assert all(w is guided.guides[m].layer.weight for m, w in zip(ENCODERS, step.guide_weights, strict=True))
    with pytest.raises(RuntimeError, match='no pass to balance'):
        guided.take_pass()


def test_encoder_parameters_are_the_trainable_ones():
    guided = tiny_guided()
    guided.model.left_encoder.bias.requires_grad_(False)
    left, right = guided.encoder_parameters()
    assert len(left) == 1 and left[0] is guided.model.left_encoder.weight and len(right) == 2


def test_forward_hooks_are_removed(batch):
    guided = tiny_guided()
    guided(**batch, mode='loss')
    assert not guided.model.left_encoder._forward_hooks


def test_copies_are_independent(batch):
    guided = tiny_guided()
    clone = copy.deepcopy(guided)
    clone(**batch, mode='loss')
    with pytest.raises(RuntimeError):
        guided.take_pass()


def test_guides_may_be_given_by_modality():
    own = TinyGuide()
    assert tiny_guided(guides=dict(right=own)).guides['right'] is own


def test_guides_are_made_from_the_head_by_default(batch):
    guided = tiny_guided(guide=None, guides=dict(right=dict(type='AutoGuide', depth=0)))
    assert [type(g) for g in guided.guides.values()] == [AutoGuide, AutoGuide]
    assert len(guided.guides['left'].layers) == 3 and len(guided.guides['right'].layers) == 1
    guided(**batch, mode='loss')


class PlainGuide(nn.Sequential):
    """A guide of someone who knows no base class of ours."""

    @property
    def last_layer(self):
        return self[-1]


def test_guide_may_be_any_module_and_is_copied_for_each_modality(batch):
    guided = tiny_guided(guide=PlainGuide(nn.Tanh(), nn.Linear(8, 3)))
    left, right = guided.guides.values()
    assert type(left) is type(right) is PlainGuide and left[-1].weight is not right[-1].weight
    guided(**batch, mode='loss')
    assert guided.take_pass().guide_weights[0] is left[-1].weight


@pytest.mark.parametrize(
    ('guide', 'message'),
    [
        (nn.Linear(8, 3), "guide of 'left', a Linear, needs an attribute `last_layer`"),
        (dict(type='AutoGuide', in_channels=5), "The guide of 'left': .* has 8 channels.*for 5"),
        (dict(type='AutoGuide', depth=-1), "The guide of 'left': .*`depth` >= 0"),
    ],
)
def test_bad_guides_are_named(guide, message, batch):
    with pytest.raises(ValueError, match=message):
        tiny_guided(guide=guide)(**batch, mode='loss')


@pytest.mark.parametrize(
    ('overrides', 'message'),
    [
        (dict(encoders=dict(left='left_encoder', right='rigth_encoder')), "Did you mean 'right_encoder'"),
        (
            dict(head='clasifier'),
            "`head`: TinyClassifier has no module 'clasifier'. Did you mean 'classifier'",
        ),
        (dict(encoders=dict(left='left_encoder')), 'at least two modalities'),
        (dict(head='left_encoder.bias'), "no module 'left_encoder.bias'"),
        (dict(guide=dict(type='TinyGuide', outputs=4)), r'shape \(4, 8\).*has \(3, 8\)'),
        (dict(guides=dict(middle=dict(type='TinyGuide'))), r"`guides` names \['middle'\]"),
    ],
)
def test_bad_settings_are_named_before_training(overrides, message):
    with pytest.raises(ValueError, match=message):
        tiny_guided(**overrides)


@settings(max_examples=20)
@given(
    kind=st.sampled_from(list(LAYERS)),
    bias=st.booleans(),
    modalities=st.integers(2, 4),
    losses=st.integers(1, 3),
    seed=st.integers(0, 1000),
)
def test_encoders_of_any_model_are_scaled_by_their_terms(kind, bias, modalities, losses, seed):
    torch.manual_seed(seed)
    guided = streams_guided(Streams(kind, bias, modalities, losses))
    batch, balancer = streams_batch(kind, modalities), attached(CGGM(rho=1.5, lam=0), guided)
    total, _ = guided.parse_losses(guided(**batch, mode='loss'))
    balancer.see(guided.take_pass())
    total.backward()
    balancer.finish_update()

    plain = copy.deepcopy(guided.model)
    plain.zero_grad()
    plain.parse_losses(plain(**batch, mode='loss'))[0].backward()
    for index, term in enumerate(balancer.stats['B']):
        for found, expected in zip(
            guided.model.streams[index].parameters(), plain.streams[index].parameters(), strict=True
        ):
            torch.testing.assert_close(found.grad, 1.5 * term * expected.grad)
    for name, parameter in plain.top.named_parameters():
        torch.testing.assert_close(guided.model.top.get_parameter(name).grad, parameter.grad)


@pytest.mark.parametrize('kind', LAYERS)
@pytest.mark.parametrize('bias', [True, False])
def test_direction_reaches_encoders_through_any_head(kind, bias):
    guided, batch = streams_guided(Streams(kind, bias)), streams_batch(kind)
    guided(**batch, mode='loss')
    term = attached(CGGM(lam=1.0), guided).see(guided.take_pass())
    term.backward()
    assert all(p.grad.abs().sum() > 0 for encoder in guided.encoder_parameters() for p in encoder)
    assert guided.model.top['other'].weight.grad is None  # several heads: W is the one that is named


def test_task_loss_is_the_sum_of_the_models_losses():
    guided, batch = streams_guided(Streams(losses=3)), streams_batch()
    losses = guided(**batch, mode='loss')
    expected = 3 * losses['term0_loss'] + losses['other_loss'][0]
    torch.testing.assert_close(guided.take_pass().task_loss, expected)


def test_modality_that_a_batch_lacks_has_no_samples_in_it():
    guided, batch = streams_guided(Streams(modalities=3)), streams_batch(modalities=3)
    balancer = attached(CGGM(lam=0.1), guided)

    def step(batch: dict) -> dict:
        losses = guided(**batch, mode='loss')
        guided.zero_grad()
        found = guided.take_pass()
        term = balancer.see(found)
        (guided.parse_losses(losses)[0] + term).backward()
        balancer.finish_update()
        return dict(losses=losses, counts=found.counts(), stats=dict(balancer.stats))

    first = step(batch)
    for _ in range(2):
        second = step({name: x for name, x in batch.items() if name != 'x1'})
        assert second['losses']['guide_x1.loss'] == 0
        assert second['counts'][:, 0, 1].tolist() == [6, 0, 6]
        assert second['stats']['score'][1] == first['stats']['score'][1]
        assert second['stats']['B'].isfinite().all()
    # Distributed training waits for a gradient of each parameter.
    assert all(p.grad is not None and p.grad.eq(0).all() for p in guided.guides['x1'].parameters())


def test_missing_modality_is_reported_once(monkeypatch):
    guided, batch = streams_guided(Streams()), streams_batch()
    messages = []
    monkeypatch.setattr('mmcggm.guided.guided_pass.warn', messages.append)
    for _ in range(3):
        guided(x0=batch['x0'], target=batch['target'], mode='loss')
        guided.take_pass()
    assert len(messages) == 1 and "'streams.1' was not called" in messages[0]


def test_encoders_that_are_never_called_are_an_error():
    class Bypass(Streams):
        def forward(self, mode, target=None, **inputs):
            # By `forward`, which no hook sees.
            logits = self.top['final'](sum(self.streams[int(n[1:])].forward(x) for n, x in inputs.items()))
            return dict(loss=F.cross_entropy(logits, target))

    with pytest.raises(RuntimeError, match=r"None of the modules \['streams\.0', 'streams\.1'\] was called"):
        streams_guided(Bypass())(**streams_batch(), mode='loss')
    layers = {f'x{i}': dict(modules=f'streams.{i}', representation=f'streams.{i}.1') for i in range(2)}
    guided = streams_guided(Bypass(), encoders=layers, guide=dict(type='AutoGuide', in_channels=5))
    guided(**streams_batch(), mode='loss')


def test_encoders_that_share_parameters_are_refused():
    model = Streams(modalities=3)
    model.streams[2] = model.streams[0]
    with pytest.raises(ValueError, match=r"'x0' \(streams\.0\) and 'x2' \(streams\.2\) share parameters"):
        streams_guided(model)
    with pytest.raises(ValueError, match="one parameter can't be scaled for two"):
        streams_guided(Streams(), encoders=dict(x0='streams.0', x1=['streams.1', 'streams.0.0']))
    model.streams[0].requires_grad_(False)  # nothing to scale there
    assert [len(p) for p in streams_guided(model).encoder_parameters()] == [0, 2, 0]


def test_frozen_encoder_is_reported_and_its_guide_learns(monkeypatch):
    messages = []
    monkeypatch.setattr('mmcggm.guided.guided_model.warn', messages.append)
    model = Streams()
    model.streams[0].requires_grad_(False)
    guided = streams_guided(model)
    assert len(messages) == 1 and "The encoder of 'x0' is frozen" in messages[0]
    balancer = attached(CGGM(), guided)
    losses = guided(**streams_batch(), mode='loss')
    (guided.parse_losses(losses)[0] + balancer.see(guided.take_pass())).backward()
    balancer.finish_update()
    assert guided.guides['x0'].last_layer.weight.grad.abs().sum() > 0


def test_head_without_a_trainable_weight_is_refused():
    message = r"`head`: 'top' is a ModuleDict without a parameter `weight`.*'top\.final' or 'top\.other'"
    with pytest.raises(ValueError, match=message):
        streams_guided(Streams(), head='top')
    model = Streams()
    model.top.final.requires_grad_(False)
    with pytest.raises(ValueError, match=r"`head`: the weight of 'top\.final' is frozen"):
        streams_guided(model)


def test_encoders_of_transformers():
    transformers = pytest.importorskip('transformers')

    class Caption(BaseModel):
        def __init__(self) -> None:
            super().__init__()
            config = transformers.BertConfig(
                vocab_size=10, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8
            )
            self.text = transformers.BertModel(config, add_pooling_layer=False)
            self.image = nn.Linear(4, 8)
            self.head = nn.Linear(8, 3)

        def forward(self, tokens, image, label, mode='tensor'):
            text = self.text(input_ids=tokens).last_hidden_state[:, 0]
            return dict(loss=F.cross_entropy(self.head(text * self.image(image)), label))

    guided = GuidedModel(
        model=Caption(),
        encoders=dict(text=dict(modules='text', key='last_hidden_state'), image='image'),
        head='head',
        guides=dict(text=dict(type='AutoGuide', pool='first')),
        task=dict(type='ClassificationTask', target='label'),
    )
    batch = dict(tokens=torch.randint(0, 10, (6, 5)), image=torch.randn(6, 4), label=torch.arange(6) % 3)
    guided.model.eval()  # no dropout
    first_token = guided.model.text(input_ids=batch['tokens']).last_hidden_state[:, 0]
    guided(**batch, mode='loss')
    expected = F.cross_entropy(guided.guides['text'].layers(first_token), batch['label'])
    torch.testing.assert_close(guided.take_pass().guide_losses[0], expected)


def test_stripped_checkpoint_loads_into_the_plain_model(batch):
    guided = tiny_guided()
    checkpoint = dict(
        meta=dict(epoch=1, cfg='...'), state_dict=guided.state_dict(), optimizer={}, param_schedulers=[]
    )
    stripped = strip_guides(checkpoint)
    assert set(stripped) == {'meta', 'state_dict'} and stripped['meta'] == dict(epoch=1)
    plain = TinyClassifier()
    plain.load_state_dict(stripped['state_dict'], strict=True)
    torch.testing.assert_close(plain(**batch), guided(**batch))
    with pytest.raises(ValueError, match='no guides'):
        strip_guides(stripped)

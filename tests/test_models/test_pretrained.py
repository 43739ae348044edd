import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertForPreTraining,
    BertModel,
    ViTConfig,
    ViTForImageClassification,
    ViTModel,
)

from mmcggm.models import BertTextEncoder, PretrainedSequenceEncoder, ViTImageEncoder
from tests.formats.food101 import HIDDEN, write_bert, write_vit


@pytest.fixture(scope='module')
def vit(tmp_path_factory):
    return write_vit(tmp_path_factory.mktemp('vit'))


@pytest.fixture(scope='module')
def bert(tmp_path_factory):
    return write_bert(tmp_path_factory.mktemp('bert'))


@pytest.fixture
def images():
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def text():
    ids = torch.tensor([[2, 5, 6, 3, 0, 0], [2, 7, 5, 6, 9, 3]])
    return ids, ids == 0


def test_vit_gives_what_transformers_gives(vit, images):
    expected = ViTModel.from_pretrained(vit).eval()(images).last_hidden_state
    assert torch.equal(ViTImageEncoder(path=str(vit))(images), expected)
    assert expected.shape == (2, 1 + 4, HIDDEN)


def test_bert_gives_what_transformers_gives(bert, text):
    ids, padding = text
    expected = BertModel.from_pretrained(bert).eval()(ids, (~padding).long()).last_hidden_state
    tokens, kept = BertTextEncoder(path=str(bert))(text)
    assert torch.equal(tokens, expected) and kept is padding


def test_bert_does_not_see_padding(bert, text):
    ids, padding = text
    encoder = BertTextEncoder(path=str(bert))
    other = ids.masked_fill(padding, 7)
    assert torch.allclose(encoder((other, padding))[0][~padding], encoder(text)[0][~padding], atol=1e-6)
    assert not torch.allclose(encoder(other)[~padding], encoder(ids)[~padding], atol=1e-3)


@pytest.mark.parametrize(
    ('build', 'published', 'config'),
    [
        (ViTImageEncoder, ViTForImageClassification, ViTConfig(hidden_size=24, num_hidden_layers=1)),
        (BertTextEncoder, BertForPreTraining, BertConfig(hidden_size=24, num_hidden_layers=1)),
    ],
)
def test_published_models_have_heads_that_are_left_out(build, published, config, tmp_path):
    model = published(config)
    model.save_pretrained(tmp_path)
    found = build(path=str(tmp_path)).model.state_dict()
    expected = model.base_model.state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())


@pytest.mark.parametrize('kind', ['vit', 'bert'])
def test_frozen_stays_as_it_is(kind, request, images, text):
    folder = request.getfixturevalue(kind)
    build, inputs = (ViTImageEncoder, images) if kind == 'vit' else (BertTextEncoder, text[0])
    encoder = build(path=str(folder)).train()
    assert not any(module.training for module in encoder.modules())
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    assert not encoder(inputs).requires_grad and torch.equal(encoder(inputs), encoder(inputs))


@pytest.mark.parametrize('kind', ['vit', 'bert'])
def test_unfrozen_trains_every_weight(kind, request, images, text):
    """A weight without a gradient would stop distributed training."""
    folder = request.getfixturevalue(kind)
    build, inputs = (ViTImageEncoder, images) if kind == 'vit' else (BertTextEncoder, text[0])
    encoder = build(path=str(folder), frozen=False).train()
    encoder(inputs).square().sum().backward()
    assert all(module.training for module in encoder.modules())
    assert [name for name, p in encoder.named_parameters() if p.grad is None] == []


def test_initialisation_leaves_pretrained_weights(bert, text):
    encoder = PretrainedSequenceEncoder(
        dict(type='mmcggm.BertTextEncoder', path=str(bert)), dim=10, num_layers=1
    )
    before = encoder.backbone(text)[0]
    encoder.init_weights()
    assert torch.equal(encoder.backbone(text)[0], before)


@pytest.mark.parametrize('mask_padding', [True, False])
def test_padding_after_the_backbone_is_an_option(bert, text, mask_padding):
    encoder = PretrainedSequenceEncoder(
        dict(type='mmcggm.BertTextEncoder', path=str(bert)), mask_padding, dim=10, num_layers=1
    ).eval()
    found = encoder(text)
    if mask_padding:
        tokens, padding = found
        assert tokens.shape == (2, 6, 10) and padding is text[1]
    else:
        assert found.shape == (2, 6, 10)
    assert encoder.projection.in_features == HIDDEN
    assert {name.split('.')[0] for name, p in encoder.named_parameters() if p.requires_grad} == {
        'projection',
        'transformer',
    }


def test_random_weights_by_config(images):
    encoder = ViTImageEncoder(
        config=dict(
            hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8, image_size=32
        )
    )
    assert encoder(images).shape == (2, 5, 8)


def test_meta_device_needs_no_weights(tmp_path, vit):
    with torch.device('meta'):
        absent, present = (ViTImageEncoder(path=str(path)) for path in (tmp_path / 'none', vit))
    assert absent.channels == 768 and present.channels == HIDDEN
    assert next(absent.parameters()).is_meta


@pytest.mark.parametrize(
    ('build', 'source'),
    [(ViTImageEncoder, 'google/vit-base-patch16-224'), (BertTextEncoder, 'google-bert/bert-base-uncased')],
)
def test_absent_folder_says_what_to_download(build, source, tmp_path):
    folder = tmp_path / 'none'
    with pytest.raises(FileNotFoundError, match=rf"'{folder}': download .*huggingface.co/{source} "):
        build(path=str(folder))


@pytest.mark.parametrize('name', ['config.json', 'model.safetensors'])
@pytest.mark.parametrize('how', ['absent', 'broken'])
def test_folder_without_a_file_is_named(bert, tmp_path, name, how):
    folder = tmp_path / 'bert'
    shutil.copytree(bert, folder)
    (folder / name).unlink() if how == 'absent' else (folder / name).write_bytes(b'nothing')
    with pytest.raises(ValueError, match=f"'{folder}' does not hold what AutoModel"):
        BertTextEncoder(path=str(folder))


def test_missing_weights_are_named(bert, tmp_path):
    shutil.copytree(bert, tmp_path / 'bert')
    path = tmp_path / 'bert' / 'model.safetensors'
    weights = load_file(path)
    weights.pop('encoder.layer.1.output.dense.weight')
    save_file(weights, path, metadata=dict(format='pt'))
    with pytest.raises(ValueError, match=r'lack .*encoder\.layer\.1\.output\.dense\.weight'):
        BertTextEncoder(path=str(tmp_path / 'bert'))


@pytest.mark.parametrize('settings', [{}, dict(path='x', config={})])
def test_path_or_config(settings):
    with pytest.raises(ValueError, match='needs either `path` or `config`'):
        BertTextEncoder(**settings)

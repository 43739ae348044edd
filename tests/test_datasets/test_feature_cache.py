"""The cache of features and its writer, on tiny frozen encoders."""

import copy
import json
import shutil

import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader

from mmcggm.datasets import CachedFeatureDataset, Food101Dataset
from mmcggm.datasets.feature_cache import writer as feature_writer
from mmcggm.datasets.feature_cache.dataset import FeatureCache
from mmcggm.datasets.feature_cache.writer import write_features
from mmcggm.models import BertTextEncoder, ViTImageEncoder
from mmcggm.utils.atomic import temporary_path
from tests.formats.food101 import HIDDEN, write_bert, write_food101, write_vit

RESIZE = dict(type='Resize', scale=(32, 32), backend='pillow')
BLUR = dict(type='mmpretrain.GaussianBlur', magnitude_range=(0.1, 2.0), magnitude_std='inf', prob=1.0)


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmcggm'):
        yield


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """Data and models, not to be changed."""
    folder = tmp_path_factory.mktemp('files')
    write_food101(folder / 'data', train=7)
    write_bert(folder / 'bert')
    write_vit(folder / 'vit')
    return folder


NOBODY = 2**22 + 1  # above the numbers of all processes


def settings_for(files):
    return dict(
        source=dict(
            type='Food101Dataset',
            data_root=str(files / 'data'),
            split='train',
            tokenizer=str(files / 'bert'),
            pipeline=[RESIZE, BLUR],
            serialize_data=False,  # or each would collect garbage for half a second
        ),
        backbones=dict(
            image=dict(type='ViTImageEncoder', path=str(files / 'vit')),
            text=dict(type='BertTextEncoder', path=str(files / 'bert')),
        ),
        data_preprocessor=dict(type='MultimodalDataPreprocessor', std=dict(image=255.0)),
    )


@pytest.fixture
def settings(files):
    return settings_for(files)


def write(folder, settings, **options):
    return write_features(FeatureCache(folder / 'train', **settings), **dict(shard_size=3) | options)


def read(folder, settings):
    return CachedFeatureDataset(str(folder), 'train', serialize_data=False, **settings)


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob('*.safetensors')}


@pytest.mark.parametrize(('dtype', 'tolerance'), [('float32', 1e-5), ('float16', 2e-3)])
def test_cache_holds_what_the_encoders_make(settings, tmp_path, dtype, tolerance):
    settings['source']['pipeline'] = [RESIZE]
    assert write(tmp_path, settings, dtype=dtype) == 3
    cached, source = read(tmp_path, settings), Food101Dataset(**without_type(settings['source']))
    assert len(cached) == len(source) == 7 and cached.metainfo == source.metainfo
    vit, bert = (build(path=settings['backbones'][m]['path']) for m, build in
                 dict(image=ViTImageEncoder, text=BertTextEncoder).items())  # fmt: skip
    for found, sample in zip(cached, source, strict=True):
        ids, length = sample['inputs']['text'][None], int(sample['lengths']['text'])
        expected = dict(
            image=vit(sample['inputs']['image'][None] / 255)[0],
            text=bert((ids, torch.arange(50)[None] >= length))[0][0],
        )
        assert found['inputs']['image'].shape == (5, HIDDEN) and set(found) == set(sample)
        for modality, features in expected.items():
            assert found['inputs'][modality].dtype == torch.float32
            assert torch.allclose(found['inputs'][modality], features, atol=tolerance)
        assert found['labels'].dtype == torch.int64 and found['labels'] == sample['labels']
        assert found['lengths']['text'] == length and found['lengths']['text'].dtype == torch.int64


def without_type(config):
    return {name: value for name, value in config.items() if name != 'type'}


def test_worker_processes_read_the_same(settings, tmp_path):
    write(tmp_path, settings)
    batches = [next(iter(DataLoader(read(tmp_path, settings), batch_size=7, num_workers=n))) for n in (0, 1)]
    assert torch.equal(*(batch['inputs']['image'] for batch in batches))


def test_stopped_run_goes_on_and_changes_nothing(settings, tmp_path, monkeypatch):
    write(tmp_path / 'whole', settings, views=2)

    def stop_at_third(tensors, path):
        if len(contents(tmp_path / 'stopped')) == 2:
            path.write_bytes(b'half a file')
            raise KeyboardInterrupt
        save_file(tensors, path)

    monkeypatch.setattr(feature_writer, 'save_file', stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / 'stopped', settings, views=2)
    monkeypatch.undo()
    with pytest.raises(
        FileNotFoundError, match=r'not complete: 4 files are missing, such as .*0000006\.safe'
    ):
        read(tmp_path / 'stopped', settings)
    whole = tmp_path / 'stopped/train/view0/0000006.safetensors'
    killed = temporary_path(whole, 2**22 + 1)  # as if there had been no cleanup
    killed.write_bytes(b'half a file')
    assert write(tmp_path / 'stopped', settings, views=2) == 4
    assert contents(tmp_path / 'stopped') == contents(tmp_path / 'whole')
    assert write(tmp_path / 'stopped', settings, views=2) == 0


def test_workers_change_nothing(settings, tmp_path):
    write(tmp_path / 'here', settings)
    write(tmp_path / 'there', settings, workers=1)
    assert contents(tmp_path / 'here') == contents(tmp_path / 'there')


def test_views_differ_and_are_drawn(settings, tmp_path):
    write(tmp_path, settings, views=1)
    first = contents(tmp_path)
    assert write(tmp_path, settings, views=3) == 6  # only the new ones
    assert first.items() < contents(tmp_path).items()
    stored = [load_file(tmp_path / f'train/view{view}/0000003.safetensors') for view in range(3)]
    images = torch.stack([shard['inputs.image'][1] for shard in stored]).float()
    assert len(images.flatten(1).unique(dim=0)) == 3
    np.random.seed(0)  # noqa: NPY002
    dataset = read(tmp_path, settings)
    drawn = [(dataset[4]['inputs']['image'] == images).flatten(1).all(dim=1) for _ in range(30)]
    assert torch.stack(drawn).sum(dim=1).eq(1).all() and torch.stack(drawn).any(dim=0).all()


def change_weights(copied, settings):
    write_vit(copied / 'vit', seed=1)


def change_tokenizer(copied, settings):
    path = copied / 'bert' / 'tokenizer.json'
    path.write_text(path.read_text().replace('"rib"', '"rub"'))


def change_annotations(copied, settings):
    path = copied / 'data' / 'train.json'
    path.write_text(path.read_text().replace('"label": "waffles"', '"label": "tacos"'))


def change_transform(copied, settings):
    settings['source']['pipeline'][1]['prob'] = 0.5


def change_preprocessor(copied, settings):
    settings['data_preprocessor']['std'] = dict(image=127.5)


@pytest.mark.parametrize(
    ('change', 'parts'),
    [
        (change_weights, 'encoder of image'),
        (change_tokenizer, 'data set, encoder of text'),
        (change_annotations, 'annotations'),
        (change_transform, 'data set'),
        (change_preprocessor, 'data preprocessor'),
    ],
)
def test_stale_cache_is_refused(settings, files, tmp_path, change, parts):
    write(tmp_path, settings)
    copied = tmp_path / 'copied'
    shutil.copytree(files, copied)
    settings = copy.deepcopy(settings_for(copied))
    read(tmp_path, settings)  # where files lie does not matter
    change(copied, settings)
    message = rf"The features in '.*/train' are stale: {parts} changed since .*convert cache_features"
    with pytest.raises(ValueError, match=message):
        read(tmp_path, settings)
    with pytest.raises(ValueError, match=message):
        write(tmp_path, settings)


def test_other_layout_of_the_cache_is_refused(settings, tmp_path, monkeypatch):
    write(tmp_path, settings)
    monkeypatch.setattr('mmcggm.datasets.feature_cache.dataset.FORMAT', 99)
    with pytest.raises(ValueError, match='stale: format changed'):
        read(tmp_path, settings)


def test_absent_cache_says_what_to_do(settings, tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"No features in '.*/train': download .*convert cache_features"
    ):
        read(tmp_path, settings)


def test_absent_models_are_named(settings, tmp_path):
    write(tmp_path, settings)
    settings['backbones']['image']['path'] = str(tmp_path / 'none')
    with pytest.raises(FileNotFoundError, match=r"/none', of which features were made, is absent"):
        read(tmp_path, settings)


def test_broken_file_is_named_when_read(settings, tmp_path):
    write(tmp_path, settings)
    (tmp_path / 'train/view0/0000003.safetensors').write_bytes(b'nothing')
    dataset = read(tmp_path, settings)
    with pytest.raises(ValueError, match=r"view0/0000003\.safetensors' is broken .* Delete it and run"):
        dataset[4]
    assert dataset[1]['labels'] == 1


def swap_items(folder):
    path = folder / 'train/view0/0000003.safetensors'
    save_file({name: tensor.flip(0).contiguous() for name, tensor in load_file(path).items()}, path)


def swap_shards(folder):
    shutil.copy(folder / 'train/view0/0000000.safetensors', folder / 'train/view0/0000003.safetensors')


def swap_views(folder):
    shutil.copy(folder / 'train/view1/0000003.safetensors', folder / 'train/view0/0000003.safetensors')


def change_a_bit(folder):
    path = folder / 'train/view0/0000003.safetensors'
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)


def rename(folder):
    path = folder / 'train/view0/0000003.safetensors'
    save_file({name.replace('text', 'test'): tensor for name, tensor in load_file(path).items()}, path)


@pytest.mark.parametrize(
    ('change', 'broken'),
    [
        (swap_items, (3, 5)),  # the one in the middle stays
        (swap_shards, (3, 4, 5)),
        (swap_views, (3, 4, 5)),
        (change_a_bit, (5,)),
        (rename, (3, 4, 5)),
    ],
)
def test_every_item_is_checked(settings, tmp_path, monkeypatch, change, broken):
    write(tmp_path, settings, views=2)
    change(tmp_path)
    monkeypatch.setattr(np.random, 'randint', lambda views: 0)
    dataset = read(tmp_path, settings)
    for index in range(7):
        if index in broken:
            with pytest.raises(
                ValueError, match=r'view0/0000003\.safetensors.* is broken .*Delete it and run'
            ):
                dataset[index]
        else:
            assert dataset[index]['labels'] == (0, 1, 100)[index % 3]


def test_features_of_another_cache_do_not_mix(settings, tmp_path):
    write(tmp_path / 'one', settings)
    settings['data_preprocessor']['std'] = dict(image=127.5)
    write(tmp_path / 'other', settings)
    name = 'train/view0/0000003.safetensors'
    shutil.copy(tmp_path / 'one' / name, tmp_path / 'other' / name)
    with pytest.raises(ValueError, match='item 3 is not what was written'):
        read(tmp_path / 'other', settings)[3]


@pytest.mark.parametrize('content', ['', '{', '[]', '{}', '{"size": 7, "checksum": 1}', None])
def test_a_broken_description_is_named(settings, tmp_path, content):
    write(tmp_path, settings)
    path = tmp_path / 'train' / 'meta.json'
    path.write_text(path.read_text().replace('"size": 7', '"size": 5') if content is None else content)
    with pytest.raises(ValueError, match=r"meta\.json' is broken .*Delete '.*/train' and run"):
        read(tmp_path, settings)


@pytest.mark.parametrize('options', [dict(shard_size=4), dict(dtype='float32')])
def test_other_options_do_not_mix(settings, tmp_path, options):
    write(tmp_path, settings)
    with pytest.raises(ValueError, match=r'were begun with (shard_size=3|dtype=float16): go on with that'):
        write(tmp_path, settings, **options)


def test_trainable_encoder_is_refused(settings, tmp_path):
    settings['backbones']['text']['frozen'] = False
    with pytest.raises(ValueError, match=r"encoder of 'text' trains model\.embeddings.*frozen=True"):
        write(tmp_path, settings)


def test_features_too_large_for_the_type_are_refused(settings, files, tmp_path):
    shutil.copytree(files / 'vit', tmp_path / 'vit')
    path = tmp_path / 'vit' / 'model.safetensors'
    weights = load_file(path)
    save_file({**weights, 'layernorm.weight': weights['layernorm.weight'] * 1e6}, path, dict(format='pt'))
    settings['backbones']['image']['path'] = str(tmp_path / 'vit')
    with pytest.raises(
        ValueError, match=r"Features of 'image' are not finite in torch\.float16; use float32"
    ):
        write(tmp_path, settings)
    assert write(tmp_path / 'other', settings, dtype='float32') == 3


def test_modality_without_encoder_is_kept(settings, tmp_path):
    settings['backbones'].pop('text')
    write(tmp_path, settings)
    sample = read(tmp_path, settings)[0]
    assert sample['inputs']['text'].dtype == torch.int64 and sample['inputs']['text'].shape == (50,)


def test_meta_says_what_was_cached(settings, tmp_path):
    write(tmp_path, settings)
    meta = json.loads((tmp_path / 'train' / 'meta.json').read_text())
    assert (meta['size'], meta['views'], meta['dtype']) == (7, 1, 'float16')
    assert 'GaussianBlur' in meta['fingerprint']['data set']

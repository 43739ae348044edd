import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from PIL import Image
from torch.utils.data import DataLoader

from mmcggm.datasets import Food101Dataset
from tests.formats.food101 import WORDS, write_bert, write_food101

RESIZE = dict(type='Resize', scale=(32, 24), backend='pillow')
CONFIG = Path(__file__).parents[2] / 'configs' / '_base_' / 'datasets' / 'food101.py'


@pytest.fixture(autouse=True)
def scope():
    with DefaultScope.overwrite_default_scope('mmcggm'):
        yield


@pytest.fixture(scope='module')
def bert(tmp_path_factory):
    return write_bert(tmp_path_factory.mktemp('bert'))


@pytest.fixture
def root(tmp_path):
    return write_food101(tmp_path, train=6, test=3)


@pytest.fixture
def build(root, bert):
    def build(**settings):
        # serialize_data would collect garbage for half a second each time.
        default = dict(data_root=str(root), tokenizer=str(bert), pipeline=[RESIZE], serialize_data=False)
        return Food101Dataset(**default | settings)

    return build


def edit(root, change):
    """Apply ``change`` to the first item of train.json."""
    path = root / 'train.json'
    items = json.loads(path.read_text())
    change(items[0])
    path.write_text(json.dumps(items))
    return items


def test_sample_is_what_the_files_hold(root, build):
    items = edit(root, lambda item: item.update(text_tokens=['Apples', 'of', 'sugar'], label='waffles'))
    sample = build()[0]
    ids = [WORDS.index(word) for word in ('[CLS]', 'apple', '##s', '[UNK]', 'sugar', '[SEP]')]
    assert sample['inputs']['text'].tolist() == ids + [0] * 44
    assert sample['lengths']['text'] == 6
    assert sample['labels'] == 100  # the last class by name
    image = Image.open(root / items[0]['img_path']).resize((32, 24), Image.BILINEAR)
    assert np.array_equal(sample['inputs']['image'], np.asarray(image).transpose(2, 0, 1))
    assert {t.dtype for t in (sample['inputs']['text'], sample['labels'], sample['lengths']['text'])} == {
        torch.int64
    }


def test_colours_are_in_rgb_order(root, build):
    def paint(item):
        Image.new('RGB', (50, 40), (255, 0, 0)).save(root / item['img_path'])

    edit(root, paint)
    image = build()[0]['inputs']['image'].float()
    assert image.dtype == torch.float and image[0].mean() > 250 and image[1:].mean() < 5


def test_grey_images_and_absolute_paths_are_read(root, build):
    path = root / 'grey.png'
    Image.new('L', (30, 30), 77).save(path)
    edit(root, lambda item: item.update(img_path=str(path)))
    assert (build()[0]['inputs']['image'] == 77).all()


@pytest.fixture
def elsewhere(tmp_path_factory) -> Path:
    """An image outside of the data root."""
    path = tmp_path_factory.mktemp('elsewhere') / 'grey.png'
    Image.new('L', (30, 30), 77).save(path)
    return path


def link_to_file(root, elsewhere):
    (root / 'link.png').symlink_to(elsewhere)
    return 'link.png'


def link_to_folder(root, elsewhere):
    (root / 'folder').symlink_to(elsewhere.parent)
    return 'folder/grey.png'


LEAD_OUT = dict(
    absolute=lambda root, elsewhere: str(elsewhere),
    dots=lambda root, elsewhere: os.path.relpath(elsewhere, root),
    dots_inside=lambda root, elsewhere: 'images/../../' + os.path.relpath(elsewhere, root.parent),
    link_to_file=link_to_file,
    link_to_folder=link_to_folder,
)


@pytest.mark.parametrize('way', LEAD_OUT)
def test_images_outside_are_read_only_if_the_user_says_so(root, build, elsewhere, way):
    named = LEAD_OUT[way](root, elsewhere)
    edit(root, lambda item: item.update(img_path=named))
    with pytest.raises(
        ValueError, match=r"1 of 6 images .*train\.json' names lie outside of .*allow_outside=True"
    ):
        build()
    assert (build(allow_outside=True)[0]['inputs']['image'] == 77).all()


def test_a_data_root_may_be_a_link(root, build, tmp_path_factory):
    link = tmp_path_factory.mktemp('links') / 'link'
    link.symlink_to(root)
    assert len(build(data_root=str(link))) == 6


def test_a_path_that_is_none_is_named(root, build):
    edit(root, lambda item: item.update(img_path='a\0b.jpg'))
    with pytest.raises(ValueError, match='outside of'):
        build()


def test_an_image_that_unpacks_to_more_than_memory_holds(root, build):
    image = Image.new('1', (30_000, 30_000))  # 900 million pixels in a few kilobytes
    image.save(root / 'bomb.png')
    edit(root, lambda item: item.update(img_path='bomb.png'))
    with pytest.raises(ValueError, match=r"bomb\.png' of item .* is broken \(Image size"):
        build()[0]


def test_every_bit_of_a_png_counts(root, build):
    path = root / 'image.png'
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 20, 3)).astype(np.uint8)).save(path)
    edit(root, lambda item: item.update(img_path='image.png'))
    dataset, content = build(), path.read_bytes()
    for place in range(0, len(content), 37):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(ValueError, match=r'image\.png.* is broken'):
            dataset[0]


def test_long_texts_are_cut(root, build):
    edit(root, lambda item: item.update(text_tokens=['flour'] * 90))
    sample = build(text_length=12)[0]
    assert sample['lengths']['text'] == 12 and sample['inputs']['text'][-1] == WORDS.index('[SEP]')


def test_empty_text_is_a_text(root, build):
    edit(root, lambda item: item.update(text_tokens=[]))
    assert build()[0]['lengths']['text'] == 2  # the special tokens


def test_tokenizer_may_be_a_vocabulary_only(root, build, bert, tmp_path):
    folder = tmp_path / 'vocabulary'
    folder.mkdir()
    for name in ('vocab.txt', 'config.json'):
        (folder / name).write_bytes((bert / name).read_bytes())
    assert torch.equal(build(tokenizer=str(folder))[0]['inputs']['text'], build()[0]['inputs']['text'])


def test_published_classes_in_published_order():
    classes = Food101Dataset.METAINFO['classes']
    assert len(set(classes)) == 101 and list(classes) == sorted(classes)
    assert (classes[0], classes[38], classes[100]) == ('apple_pie', 'fish_and_chips', 'waffles')


def test_published_train_transforms(build):
    pipeline = Config.fromfile(CONFIG).train_pipeline
    dataset = build(pipeline=pipeline)
    np.random.seed(0)  # noqa: NPY002
    views = [dataset[0]['inputs']['image'] for _ in range(60)]
    assert {(view.shape, view.dtype) for view in views} == {((3, 224, 224), torch.uint8)}
    assert len({view.float().mean().item() for view in views}) == 60
    grey = sum(torch.equal(view[0], view[1]) and torch.equal(view[0], view[2]) for view in views)
    assert 1 <= grey <= 30  # each with a probability of 0.2


def test_worker_processes_read_the_same(build):
    loader = DataLoader(build(), batch_size=6, num_workers=1)
    batch, plain = next(iter(loader)), next(iter(DataLoader(build(), batch_size=6)))
    assert torch.equal(batch['inputs']['image'], plain['inputs']['image'])
    assert torch.equal(batch['inputs']['text'], plain['inputs']['text'])


def test_absent_data_says_what_to_download(build, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere/train.json': download UPMC Food-101 .*text_tokens"):
        build(data_root=str(tmp_path / 'nowhere'))


def test_absent_tokenizer_says_what_to_download(build, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No pretrained .*/none': .*google-bert/bert-base-uncased"):
        build(tokenizer=str(tmp_path / 'none'))


def test_folder_that_is_no_tokenizer_is_named(build, tmp_path):
    with pytest.raises(ValueError, match=f"'{tmp_path}' does not hold what AutoTokenizer"):
        build(tokenizer=str(tmp_path))


def test_nothing_is_read_before_it_is_needed(tmp_path):
    dataset = Food101Dataset(str(tmp_path), tokenizer=str(tmp_path), lazy_init=True)
    assert len(dataset.metainfo['classes']) == 101


def test_all_missing_images_are_named_at_the_start(root, build):
    items = json.loads((root / 'train.json').read_text())
    for item in items[1:3]:
        (root / item['img_path']).unlink()
    with pytest.raises(FileNotFoundError, match='2 of 6 images') as caught:
        build()
    assert all(item['img_path'] in str(caught.value) for item in items[1:3])


@pytest.mark.parametrize('extension', ['jpg', 'png'])
@pytest.mark.parametrize('keep', [0.5, 0.0])
def test_broken_image_is_named_when_read(root, build, extension, keep):
    path = root / f'broken.{extension}'
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (60, 60, 3)).astype(np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    edit(root, lambda item: item.update(img_path=str(path), id='the_item'))
    dataset = build()
    with pytest.raises(
        ValueError, match=rf"broken.{extension}' of item 'the_item' in '.*train.json' is broken"
    ):
        dataset[0]
    assert dataset[1]['inputs']['image'].shape == (3, 24, 32)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda item: item.pop('label'), r'Item 0 of .*train.json.: `label` holds nothing; an item must be'),
        (lambda item: item.update(text_tokens='salt'), r"`text_tokens` holds 'salt'"),
        (
            lambda item: item.update(text_tokens=[['salt']]),
            r"`text_tokens` holds \['salt'\], which is no word",
        ),
        (lambda item: item.update(img_path=3), r'`img_path` holds 3'),
        (
            lambda item: item.update(label='Apple pie'),
            r"`label` is 'Apple pie', which is none of \['apple_pie'",
        ),
        (lambda item: item.update(id='baby_back_ribs_1.jpg'), r"`id` more than once, such as 'baby_back"),
    ],
)
def test_bad_items_are_named(root, build, change, message):
    edit(root, change)
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize('text', ['{', '{}', '[]', '[1]', '""', '[' * 100_000])
def test_bad_json_is_named(root, build, text):
    (root / 'train.json').write_text(text)
    with pytest.raises(ValueError, match=r'train\.json'):
        build()

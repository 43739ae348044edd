"""Classification of dishes from an image and a recipe's text: UPMC Food-101."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import mmcv
import numpy as np
import torch
from mmengine.dataset import BaseDataset
from PIL import Image
from torch import Tensor

from mmcggm.datasets.readers.data_root import DataRoot
from mmcggm.registry import DATASETS
from mmcggm.utils.pretrained import load_pretrained

FIELDS = dict(id=(str, int), text_tokens=list, img_path=str, label=str)
LAYOUT = '{"id": ..., "text_tokens": [word, ...], "img_path": file, "label": class}'
PNG = b'\x89PNG\r\n\x1a\n'
SHOWN = 20  # files that a message names at most

NAMES = """
apple_pie baby_back_ribs baklava beef_carpaccio beef_tartare beet_salad beignets bibimbap bread_pudding
breakfast_burrito bruschetta caesar_salad cannoli caprese_salad carrot_cake ceviche cheese_plate
cheesecake chicken_curry chicken_quesadilla chicken_wings chocolate_cake chocolate_mousse churros
clam_chowder club_sandwich crab_cakes creme_brulee croque_madame cup_cakes deviled_eggs donuts dumplings
edamame eggs_benedict escargots falafel filet_mignon fish_and_chips foie_gras french_fries
french_onion_soup french_toast fried_calamari fried_rice frozen_yogurt garlic_bread gnocchi greek_salad
grilled_cheese_sandwich grilled_salmon guacamole gyoza hamburger hot_and_sour_soup hot_dog
huevos_rancheros hummus ice_cream lasagna lobster_bisque lobster_roll_sandwich macaroni_and_cheese
macarons miso_soup mussels nachos omelette onion_rings oysters pad_thai paella pancakes panna_cotta
peking_duck pho pizza pork_chop poutine prime_rib pulled_pork_sandwich ramen ravioli red_velvet_cake
risotto samosa sashimi scallops seaweed_salad shrimp_and_grits spaghetti_bolognese spaghetti_carbonara
spring_rolls steak strawberry_shortcake sushi tacos takoyaki tiramisu tuna_tartare waffles
"""


@DATASETS.register_module()
class Food101Dataset(BaseDataset):
    """Images and texts of UPMC Food-101 (Wang et al., ICMEW 2015), in the layout that CGGM's authors read.

    ``{data_root}/{split}.json`` is a list of ``{"id": ..., "text_tokens": [word, ...], "img_path": file,
    "label": class}``; ``img_path`` is absolute or relative to ``data_root``, and an image below it.

    A sample is ``dict(inputs=dict(image, text), lengths=dict(text), labels)``:

    - ``image``: uint8 ``(3, H, W)``, RGB, of the size that the pipeline gives;
    - ``text``: int64 ``(text_length,)``, token ids with the tokenizer's special tokens, padded at the end;
    - ``lengths.text``: int64 scalar, the number of ids before the padding;
    - ``labels``: int64 scalar, the index of the class in METAINFO.

    Args:
        data_root: Folder of the json files.
        split: Which json file: ``'train'`` or ``'test'``, or one of your own.
        tokenizer: Folder of BERT's tokenizer.
        text_length: Token ids a sample; longer texts are cut.
        allow_outside: Whether the json file may name images outside of ``data_root``, also by ``..`` and
            links. Only for files that you trust: they then choose which files of this machine are read.
        pipeline: Transforms of ``img``, uint8 ``(H, W, 3)``, BGR as in mmcv, which keep the type.
        **kwargs: Of :class:`mmengine.dataset.BaseDataset`.

    Raises:
        FileNotFoundError: If the json file, the tokenizer, or images that the json file names are missing.
        ValueError: If an item is not as described or names an image elsewhere, or, when it is read, its image
            is broken.
    """

    METAINFO = dict(classes=tuple(NAMES.split()))

    def __init__(
        self,
        data_root: str,
        split: str = 'train',
        tokenizer: str = 'data/pretrained/bert-base-uncased',
        text_length: int = 50,
        allow_outside: bool = False,
        pipeline: Sequence = (),
        **kwargs,
    ) -> None:
        self.tokenizer_path = tokenizer
        self.text_length = text_length
        self.allow_outside = allow_outside
        super().__init__(ann_file=f'{split}.json', data_root=data_root, pipeline=list(pipeline), **kwargs)

    def full_init(self) -> None:
        """Read the json file, look for the images and load the tokenizer."""
        if not self._fully_initialized:
            super().full_init()
            self.tokenizer = load_pretrained(
                'AutoTokenizer', self.tokenizer_path, 'google-bert/bert-base-uncased', padding_side='right'
            )

    def load_data_list(self) -> list[dict]:
        """Return the items: ``id``, ``img_path`` that can be opened, ``text`` and ``label``, an index."""
        path = Path(self.ann_file)
        if not path.is_file():
            raise FileNotFoundError(
                f"No '{path}': download UPMC Food-101 (https://visiir.isir.upmc.fr/explore) into "
                f"'{self.data_root}', with train.json and test.json, lists of {LAYOUT}; or set `data_root` "
                'of the data sets in the config.'
            )
        try:
            entries = json.loads(path.read_text(encoding='utf-8'))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"'{path}' is not JSON ({error}); write it again.") from error
        if not isinstance(entries, list) or not entries:
            raise ValueError(f"'{path}' must hold a list of items, it holds {str(entries)[:50]}.")
        items = [self._read_entry(entry, f"Item {index} of '{path}'") for index, entry in enumerate(entries)]
        twice = [found for found, count in Counter(item['id'] for item in items).items() if count > 1]
        if twice:
            raise ValueError(
                f"'{path}' uses an `id` more than once, such as {twice[0]!r} ({len(twice)} of them); every "
                'item needs its own.'
            )
        root = DataRoot(self.data_root)
        outside = [item['img_path'] for item in items if not root.holds(item['img_path'])]
        if outside and not self.allow_outside:
            raise ValueError(
                f"{len(outside)} of {len(items)} images that '{path}' names lie outside of "
                f"'{self.data_root}', such as {outside[0]!r}. Move them there and correct their `img_path`, "
                'or, if you trust the json file, set `allow_outside=True` of the data set.'
            )
        missing = [item['img_path'] for item in items if not Path(item['img_path']).is_file()]
        if missing:
            more = f' and {len(missing) - SHOWN} more' if len(missing) > SHOWN else ''
            raise FileNotFoundError(
                f"{len(missing)} of {len(items)} images that '{path}' names are missing: "
                f'{", ".join(missing[:SHOWN])}{more}. Download them again, or take their items out of the '
                "json file. An `img_path` there is absolute or relative to the json file's folder."
            )
        return items

    def prepare_data(self, idx: int) -> dict:
        """Return a sample, see the class."""
        item = self.get_data_info(idx)
        image = self.pipeline(dict(item, img=self._read_image(item)))['img']
        text = self.tokenizer(
            item['text'], max_length=self.text_length, truncation=True, padding='max_length'
        )
        return dict(
            inputs=dict(image=_rgb_tensor(image), text=torch.tensor(text['input_ids'])),
            lengths=dict(text=torch.tensor(sum(text['attention_mask']))),
            labels=torch.tensor(item['label']),
        )

    def _read_entry(self, entry: dict, where: str) -> dict:
        if not isinstance(entry, dict):
            raise ValueError(f'{where} must be {LAYOUT}, it is {str(entry)[:50]}.')
        for field, kind in FIELDS.items():
            if not isinstance(entry.get(field), kind):
                found = repr(entry[field])[:50] if field in entry else 'nothing'
                raise ValueError(f'{where}: `{field}` holds {found}; an item must be {LAYOUT}.')
        strange = [token for token in entry['text_tokens'] if not isinstance(token, (str, int, float))]
        if strange:
            raise ValueError(f'{where}: `text_tokens` holds {repr(strange[0])[:50]}, which is no word.')
        classes = self.metainfo['classes']
        if entry['label'] not in classes:
            raise ValueError(f"{where}: `label` is '{entry['label']}', which is none of {list(classes)}.")
        return dict(
            id=entry['id'],
            img_path=str(Path(self.data_root) / entry['img_path']),
            text=' '.join(map(str, entry['text_tokens'])),
            label=classes.index(entry['label']),
        )

    def _read_image(self, item: dict) -> np.ndarray:
        try:
            content = Path(item['img_path']).read_bytes()
            if content.startswith(PNG):
                Image.open(io.BytesIO(content)).verify()  # all checksums; to decode it, Pillow checks few
            # Pillow refuses a file that ends too early; OpenCV fills in grey.
            return mmcv.imfrombytes(content, 'color_ignore_orientation', backend='pillow')
        except Exception as error:  # Pillow raises whatever the broken bytes lead to
            raise ValueError(
                f"The image '{item['img_path']}' of item '{item['id']}' in '{self.ann_file}' is broken "
                f'({error}). Download it again, or take the item out of the json file.'
            ) from error


def _rgb_tensor(image: np.ndarray) -> Tensor:
    """Return uint8 ``(3, H, W)``, RGB, for ``(H, W, 3)``, BGR."""
    return torch.from_numpy(np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1)))

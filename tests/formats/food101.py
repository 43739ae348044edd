"""Synthetic files of UPMC Food-101's format, and tiny BERT and ViT folders with random weights."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import BertConfig, BertModel, BertTokenizerFast, ViTConfig, ViTModel

WORDS = ('[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'apple', 'flour', 'butter', '##s', 'sugar', 'rib')
LABELS = ('apple_pie', 'baby_back_ribs', 'waffles')
HIDDEN = 16  # channels of the tiny models


def write_food101(root: Path, seed: int = 0, **sizes: int) -> Path:
    """Write ``{split}.json`` and real JPEG files of varying size for ``split=number of items``.

    An item's words and the brightness of its image tell its class.
    """
    rng = np.random.default_rng(seed)
    for split, size in sizes.items():
        items = []
        for index in range(size):
            kind = index % len(LABELS)
            path = Path('images') / split / LABELS[kind] / f'{LABELS[kind]}_{index}.jpg'
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            height, width = rng.integers(40, 90, 2)
            pixels = rng.integers(0, 60, (height, width, 3)) + 80 * kind
            Image.fromarray(pixels.astype(np.uint8)).save(root / path)
            words = [*rng.choice(WORDS[5:8], rng.integers(0, 9)), ('apples', 'rib', 'sugar')[kind]]
            items.append(
                dict(id=path.name, text_tokens=list(map(str, words)), img_path=str(path), label=LABELS[kind])
            )
        (root / f'{split}.json').write_text(json.dumps(items))
    return root


def write_bert(folder: Path, seed: int = 0) -> Path:
    """Write a tiny BERT with random weights and its tokenizer of :data:`WORDS`."""
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=len(WORDS), hidden_size=HIDDEN, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=32, max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    vocabulary = folder / 'vocab.txt'
    vocabulary.write_text('\n'.join(WORDS) + '\n')
    BertTokenizerFast.from_pretrained(str(folder)).save_pretrained(folder)
    return folder


def write_vit(folder: Path, seed: int = 0, image_size: int = 32, patch_size: int = 16) -> Path:
    """Write a tiny ViT with random weights."""
    torch.manual_seed(seed)
    config = ViTConfig(
        hidden_size=HIDDEN, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        image_size=image_size, patch_size=patch_size,
    )  # fmt: skip
    ViTModel(config).save_pretrained(folder)
    return folder

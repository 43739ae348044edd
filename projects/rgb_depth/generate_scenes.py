"""Make scenes of colour and depth to try the configs on: no real data, and named so.

python projects/rgb_depth/generate_scenes.py data/generated_rgb_depth
"""

import argparse
from pathlib import Path

import cv2
import numpy as np


def scene(generator: np.random.Generator, size: int) -> dict[str, np.ndarray]:
    """Return colour (8 bits, blue first), depth (16 bits, mm) and labels of a scene.

    A box (1) and a ball (2) stand before a wall (0). Colour tells them from the wall, and faintly from each
    other; depth shows the shapes.
    """
    rows, columns = np.mgrid[:size, :size]
    labels = np.zeros((size, size), np.uint8)
    depth = np.full((size, size), 4000.0)
    for kind in generator.permutation([1, 2]):
        row, column = generator.integers(size // 4, 3 * size // 4, 2)
        radius = size // 5
        if kind == 1:
            inside = np.maximum(abs(rows - row), abs(columns - column)) < radius
            front = np.full((size, size), 2000.0)
        else:
            square = radius**2 - (rows - row) ** 2 - (columns - column) ** 2
            inside = square > 0
            front = 2400.0 - 40 * np.sqrt(np.maximum(square, 0))
        labels[inside], depth[inside] = kind, front[inside]
    colours = np.array([[90, 90, 90], [60, 80, 170], [70, 80, 150]])
    image = colours[labels] + generator.normal(0, 25, (size, size, 3))
    depth += generator.normal(0, 60, (size, size))
    return dict(colour=image.clip(0, 255).astype(np.uint8), depth=depth.astype(np.uint16), labels=labels)


def write_scenes(folder: Path, counts: dict[str, int], size: int = 64) -> None:
    """Write ``{colour,depth,labels}/{split}/generated_000.png`` and so on."""
    for seed, (split, count) in enumerate(counts.items()):
        generator = np.random.default_rng(seed)
        for number in range(count):
            for kind, image in scene(generator, size).items():
                path = folder / kind / split / f'generated_{number:03d}.png'
                path.parent.mkdir(parents=True, exist_ok=True)
                cv2.imwrite(str(path), image)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description='Make scenes of colour and depth.')
    parser.add_argument('folder', type=Path)
    parser.add_argument('--train', type=int, default=48, help='scenes to train on')
    parser.add_argument('--val', type=int, default=16, help='scenes to validate on')
    args = parser.parse_args()
    write_scenes(args.folder, dict(train=args.train, val=args.val))

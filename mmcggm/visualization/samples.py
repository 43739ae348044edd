"""What the network gets: samples of any data set, drawn as pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from torch import Tensor

LABEL_COLOURS = ('#00000000', '#ff503c', '#50c878', '#ffd746', '#5a96ff', '#cc79a7', '#56b4e9')
SMALLEST_IMAGE = 8  # pixels of a side; smaller arrays are tables
COLUMNS = 4


def draw_sample(sample: Mapping[str, Any], classes: tuple[str, ...] | None = None) -> Figure:
    """Draw what a data set's pipeline returned: a panel an array, and the rest as text above them.

    Images and slices are shown as such, with a segmentation laid over them; ``(length, channels)`` is a
    sequence, shown over time; a vector is a line; what has no axes, such as a label, is text.

    Args:
        sample: Of ``dataset[index]``: tensors, arrays, numbers, texts, and nested dicts of them.
        classes: Names of the classes, for the label.

    Raises:
        ValueError: If it holds no array.
    """
    parts = dict(_parts(sample))
    arrays = {name: value for name, value in parts.items() if value.ndim and value.dtype.kind in 'biuf'}
    masks = {name: value for name, value in arrays.items() if 'seg' in name}
    panels = {name: value for name, value in arrays.items() if name not in masks}
    if not panels:
        raise ValueError(f'The sample holds no array to draw, but {sorted(parts) or "nothing"}.')
    columns = min(COLUMNS, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(3.1 * columns, 2.7 * rows + 0.6), layout='constrained')
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    mask = next(iter(masks.values())).squeeze() if masks else None
    for ax, (name, array) in zip(axes, panels.items(), strict=False):
        _draw_array(ax, array, mask)
        ax.set_title(f'{name}  {"×".join(map(str, array.shape))}', fontsize=9)
        ax.tick_params(labelsize=7)
    for ax in axes[len(panels) :]:
        ax.remove()
    texts = [f'{name}: {_as_text(name, v, classes)}' for name, v in parts.items() if name not in arrays]
    figure.suptitle('   '.join(texts)[:200], fontsize=9)
    return figure


def _parts(value: Any, name: str = '') -> Iterator[tuple[str, np.ndarray]]:
    """Yield each leaf of a sample as an array, with its path."""
    if isinstance(value, Tensor):
        yield name, value.detach().cpu().numpy()
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _parts(part, f'{name}.{key}' if name else str(key))
    elif isinstance(value, (list, tuple)) and any(
        isinstance(part, (Tensor, np.ndarray, Mapping)) for part in value
    ):
        for index, part in enumerate(value):
            yield from _parts(part, f'{name}.{index}' if name else str(index))
    elif hasattr(value, 'all_items'):  # of MMEngine's data elements
        for key, part in value.all_items():
            yield from _parts(part, key if name.endswith('data_samples') else f'{name}.{key}')
    elif value is not None and not callable(value):
        yield name, np.asarray(value)


def _draw_array(ax: Axes, array: np.ndarray, mask: np.ndarray | None) -> None:
    array = array.astype(float) if array.dtype.kind == 'b' else array
    while array.ndim > 3:  # a volume or a clip: the middle of it
        array = array[len(array) // 2] if array.shape[0] > 3 else array[0]
    if array.ndim == 3 and min(array.shape[1:]) >= SMALLEST_IMAGE:
        _draw_image(ax, array, mask)
    elif array.ndim >= 2:
        table = array if array.ndim == 2 else array.reshape(len(array), -1)
        low, high = np.nanpercentile(table, (1, 99))
        ax.imshow(table.T, aspect='auto', cmap='viridis', vmin=low, vmax=high, interpolation='nearest')
        ax.set_xlabel('position', fontsize=8)
        ax.set_ylabel('channel', fontsize=8)
    else:
        ax.plot(array, linewidth=0.9, marker='o' if len(array) < 30 else None, markersize=3)
        ax.set_xlabel('channel', fontsize=8)
        ax.spines[['top', 'right']].set_visible(False)


def _draw_image(ax: Axes, array: np.ndarray, mask: np.ndarray | None) -> None:
    """Draw ``(channels, height, width)``: three are colours, else the first is grey."""
    if len(array) == 3:
        low, high = float(array.min()), float(array.max())
        ax.imshow(((array - low) / ((high - low) or 1)).transpose(1, 2, 0))
    else:
        low, high = np.percentile(array[0], (0.5, 99.5))
        ax.imshow(array[0], cmap='gray', vmin=low, vmax=high)
    if mask is not None and mask.shape == array.shape[1:]:
        colours = ListedColormap(LABEL_COLOURS)
        ax.imshow(mask, cmap=colours, vmin=0, vmax=colours.N - 1, alpha=0.5, interpolation='nearest')
    ax.set_xticks([])
    ax.set_yticks([])


def _as_text(name: str, value: np.ndarray, classes: tuple[str, ...] | None) -> str:
    text = str(value.item() if value.ndim == 0 else value.tolist())
    is_class = 'label' in name and value.ndim == 0 and value.dtype.kind in 'iu'
    return f'{text} ({classes[int(text)]})' if is_class and classes and int(text) < len(classes) else text

"""Brain tumour segmentations beside their references, as radiologists look at them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from mmcggm.datasets.brats.label_conventions import Scheme
from mmcggm.datasets.brats.prepared_case import PreparedCase
from mmcggm.evaluation.brats.regions import get_rule, region_scores

SEQUENCE_NAMES = dict(flair='FLAIR', t1='T1', t1ce='T1ce', t2='T2')
MARGIN = 6.0  # mm of background around the brain
SCALE_BAR = 50.0  # mm


def most_tumour(labels: np.ndarray) -> int | None:
    """Return the index of the axial slice of ``labels`` (D, H, W) with most tumour; None without any."""
    voxels = np.count_nonzero(labels, axis=(1, 2))
    return int(voxels.argmax()) if voxels.any() else None


def radiological(plane: np.ndarray) -> np.ndarray:
    """Turn a slice of the store into an image (rows, columns): front up, the patient's right on the left.

    Args:
        plane: Shape (H, W): to the patient's left, and to the back, as LPS has it.
    """
    return plane.T


def draw_cases(cases: Sequence[tuple[PreparedCase, np.ndarray]]) -> Figure:
    """Draw a row a case: its sequences, the ground truth and the prediction on the first sequence.

    The slice is the one with most tumour in the ground truth, else in the prediction, else the middle
    of the brain. Dice is that of the whole volume.

    Args:
        cases: Cases, stored or in memory, each with its predicted training labels (D, H, W).

    Raises:
        ValueError: If there is no case, or a prediction is not of its case's shape.
    """
    if not cases:
        raise ValueError('There is no case to draw.')
    modalities = list(dict.fromkeys(name for case, _ in cases for name in case.modalities))
    titles = [*(SEQUENCE_NAMES.get(name, name) for name in modalities), 'Ground truth', 'Prediction']
    figure = Figure(figsize=(1.75 * len(titles) + 0.4, 2.2 * len(cases) + 0.5), layout='compressed')
    figure.get_layout_engine().set(w_pad=0.01, h_pad=0.03, wspace=0, hspace=0)
    rows = figure.subplots(len(cases), len(titles), squeeze=False)
    for axes, (stored, labels) in zip(rows, cases, strict=True):
        if labels.shape != stored.shape:
            raise ValueError(
                f"The prediction of '{stored.case}' has shape {labels.shape}, the case has {stored.shape}."
            )
        _draw_case(axes, stored, labels, modalities)
    for ax, title in zip(rows[0], titles, strict=True):
        ax.set_title(title, fontsize=11, fontweight='bold')
    # One scale for all rows, so that sizes compare.
    side = max(ax.get_xlim()[1] - ax.get_xlim()[0] for ax in rows[:, 0])
    side = max(side, max(ax.get_ylim()[0] - ax.get_ylim()[1] for ax in rows[:, 0]))
    for ax in rows.flat:
        _set_window(ax, side)
    for ax in rows[:, 0]:
        _add_marks(ax)
    scheme = cases[0][0].convention.scheme
    patches = [
        Patch(color=colour, label=f'{short}: {name}')
        for colour, short, name in zip(_colours(scheme), scheme.short, scheme.classes[1:], strict=True)
    ]
    figure.legend(handles=patches, loc='outside lower center', ncols=3, frameon=False, fontsize=10)
    return figure


def _draw_case(
    axes: Sequence[Axes], stored: PreparedCase, labels: np.ndarray, modalities: Sequence[str]
) -> None:
    truth = stored.read_seg()
    candidates = (most_tumour(volume) for volume in (truth, labels) if volume is not None)
    z = next((index for index in candidates if index is not None), sum(stored.brain_box[0]) // 2)
    image, _ = stored.read_slice(z, modalities)
    _, column_size, row_size = stored.spacing
    tumour_colours = ListedColormap(_colours(stored.convention.scheme))

    panels = [radiological(plane) for plane in image]
    height, width = panels[0].shape
    place = dict(extent=(0, width * column_size, height * row_size, 0), interpolation='nearest')
    overlays = [None] * len(panels) + [truth, labels]
    for ax, panel, overlay in zip(axes, [*panels, panels[0], panels[0]], overlays, strict=True):
        brain = np.ma.masked_equal(panel, 0)
        low, high = np.percentile(brain.compressed(), (1, 99.5)) if brain.count() else (0, 1)
        ax.imshow(brain, cmap='gray', vmin=low, vmax=high, **place)
        if overlay is not None:
            tumour = np.ma.masked_equal(radiological(overlay[z]), 0)
            ax.imshow(tumour, cmap=tumour_colours, vmin=1, vmax=tumour_colours.N, alpha=0.6, **place)
        ax.set(facecolor='black', xticks=[], yticks=[])
        ax.spines[:].set_visible(False)
    inside = np.argwhere(panels[0] != 0)
    (top, left), (bottom, right) = (
        (inside.min(0), inside.max(0) + 1) if len(inside) else ((0, 0), panels[0].shape)
    )
    for ax in axes:
        ax.set(xlim=(left * column_size, right * column_size), ylim=(bottom * row_size, top * row_size))

    axes[0].set_ylabel(f'{stored.case}\nslice {z}', fontsize=9)
    if truth is None:
        axes[-2].text(0.5, 0.04, 'none', color='white', ha='center', transform=axes[-2].transAxes, fontsize=9)
        return
    regions = stored.convention.scheme.regions
    scores = region_scores(labels, truth, stored.spacing, get_rule('challenge'), regions)
    figures = (
        f'{region} {"–" if math.isnan(dice) else f"{dice:.2f}"}' for region, (dice, _) in scores.items()
    )
    axes[-1].set_xlabel('Dice  ' + '  '.join(figures), fontsize=8, labelpad=3)


def _colours(scheme: Scheme) -> list[tuple[float, ...]]:
    """Return the colours of the classes but the background, from 0 to 1."""
    return [tuple(value / 255 for value in colour) for colour in scheme.metainfo['palette'][1:]]


def _set_window(ax: Axes, side: float) -> None:
    """Show the square with sides ``side`` + margin, in mm, around the middle of the current view."""
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    column, row, half = (left + right) / 2, (bottom + top) / 2, side / 2 + MARGIN
    ax.set(xlim=(column - half, column + half), ylim=(row + half, row - half))


def _add_marks(ax: Axes) -> None:
    """Mark the patient's sides and draw a scale bar."""
    for place, side in ((0.03, 'R'), (0.97, 'L')):
        align = 'left' if side == 'R' else 'right'
        ax.text(place, 0.97, side, color='white', ha=align, va='top', transform=ax.transAxes, fontsize=9)
    left, bottom = ax.get_xlim()[0], ax.get_ylim()[0]
    ax.add_patch(Rectangle((left + MARGIN, bottom - MARGIN), SCALE_BAR, 1.5, color='white', linewidth=0))
    ax.text(
        left + MARGIN + SCALE_BAR / 2,
        bottom - MARGIN - 2,
        f'{SCALE_BAR:.0f} mm',
        color='white',
        ha='center',
        va='bottom',
        fontsize=7,
    )

"""Representations in the plane: t-SNE of each modality's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from mmcggm.utils import import_optional

FEW = 10  # classes that get colours of their own, with a legend
COLUMNS = 4


def embed(vectors: np.ndarray, perplexity: float = 30.0, seed: int = 0) -> np.ndarray:
    """Return scikit-learn's t-SNE ``(N, 2)`` of standardised vectors ``(N, C)``.

    Raises:
        ImportError: If scikit-learn is not installed.
        ValueError: If there are no more vectors than ``perplexity``.
    """
    manifold = import_optional('sklearn.manifold', 'data')
    if len(vectors) <= perplexity:
        raise ValueError(f'{len(vectors)} samples are too few for a perplexity of {perplexity}: lower it.')
    scaled = (vectors - vectors.mean(0)) / (vectors.std(0) + 1e-6)
    return manifold.TSNE(perplexity=perplexity, init='pca', random_state=seed).fit_transform(scaled)


def draw_embeddings(
    points: Mapping[str, tuple[np.ndarray, np.ndarray]], classes: Sequence[str] | None = None
) -> Figure:
    """Draw a panel a modality, coloured by class.

    Args:
        points: ``(N, 2)`` and classes ``(N,)`` by modality.
        classes: Their names.
    """
    columns = min(COLUMNS, len(points))
    rows = -(-len(points) // columns)
    figure = Figure(figsize=(3 * columns, 3 * rows + 0.5), layout='constrained')
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    present = np.unique(np.concatenate([labels for _, labels in points.values()]))
    for ax, (name, (places, labels)) in zip(axes, points.items(), strict=False):
        for rank, label in enumerate(present):
            chosen = places[labels == label]
            colour = f'C{rank}' if len(present) <= FEW else _shade(rank / len(present))
            text = str(classes[int(label)]) if classes else str(label)
            ax.scatter(*chosen.T, s=7, alpha=0.75, linewidth=0, color=colour, label=text)
        ax.set_title(name)
        ax.set_xticks([])
        ax.set_yticks([])
    for ax in axes[len(points) :]:
        ax.remove()
    if len(present) <= FEW:
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc='outside lower center', ncols=5, frameon=False, markerscale=2)
    return figure


def _shade(share: float) -> tuple[float, ...]:
    """Return a colour of the rainbow, from 0 to 1."""
    from matplotlib import colormaps

    return colormaps['turbo'](share)

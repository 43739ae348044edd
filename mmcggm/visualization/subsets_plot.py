"""What a model reaches with each subset of its modalities, as a table and a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from .curves import COLOURS

Results = Mapping[tuple[str, ...], Mapping[str, float]]
ROW = 0.24  # inches


def subsets_table(results: Results, metrics: Sequence[str]) -> str:
    """Return Markdown: a line a subset, then the mean over all; ● stands where a modality is there.

    Args:
        results: Of :func:`~mmcggm.engine.subsets.evaluate_subsets`, the subset of all modalities first.
        metrics: In the order of the columns.
    """
    modalities = next(iter(results))
    lines = [[*modalities, *metrics], ['---'] * (len(modalities) + len(metrics))]
    for subset, values in results.items():
        marks = ['●' if modality in subset else '○' for modality in modalities]
        lines.append([*marks, *(f'{values[metric]:.4f}' for metric in metrics)])
    means = (sum(values[metric] for values in results.values()) / len(results) for metric in metrics)
    lines.append(['mean', *[''] * (len(modalities) - 1), *(f'{mean:.4f}' for mean in means)])
    return ''.join(f'| {" | ".join(line)} |\n' for line in lines)


def draw_subsets(results: Results, metrics: Sequence[str]) -> Figure:
    """Draw a line a subset: which modalities are there, and a bar for each metric.

    Args:
        results: As of :func:`subsets_table`.
        metrics: A panel each.
    """
    modalities = next(iter(results))
    widths = [0.35 * len(modalities), *[2.2] * len(metrics)]
    figure = Figure(figsize=(sum(widths) + 0.8, ROW * len(results) + 1.2), layout='constrained')
    panels = figure.subplots(1, len(widths), sharey=True, gridspec_kw=dict(width_ratios=widths))
    rows = range(len(results))
    dots = panels[0]
    for place, modality in enumerate(modalities):
        there = [COLOURS[0] if modality in subset else '0.88' for subset in results]
        dots.scatter([place] * len(results), rows, c=there, s=42)
    dots.set_xticks(range(len(modalities)), modalities, rotation=90)
    dots.set_xlim(-0.6, len(modalities) - 0.4)
    dots.set_ylim(len(results) - 0.4, -0.6)
    dots.tick_params(left=False, labelleft=False, bottom=False)
    dots.spines[:].set_visible(False)
    for ax, metric in zip(panels[1:], metrics, strict=True):
        values = [found[metric] for found in results.values()]
        ax.barh(rows, values, height=0.7, color=COLOURS[1])
        for row, value in zip(rows, values, strict=True):
            ax.text(value, row, f' {value:.3f}', va='center', fontsize=7)
        ax.set_title(metric, fontsize=9)
        ax.margins(x=0.22)
        if not any(values):
            ax.set_xlim(0, 1)
        ax.tick_params(left=False)
        ax.spines[['top', 'right', 'left']].set_visible(False)
    return figure

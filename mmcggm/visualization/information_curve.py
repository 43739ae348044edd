"""What is reached against where the information is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean, pstdev, stdev

from matplotlib.figure import Figure


def draw_information_curve(
    reached: Mapping[str, Mapping[float, Sequence[float]]], best: Mapping[str, Mapping[float, float]]
) -> Figure:
    """Draw accuracies, mean and standard deviation over seeds, over the unique share.

    Args:
        reached: By name of the line and unique share, the accuracy of each seed.
        best: By name of the line and unique share, what no reader can surpass; dashed, in the colour of the
            line of that name.
    """
    figure = Figure(figsize=(6, 4), layout='constrained')
    ax = figure.subplots()
    for index, (name, points) in enumerate(reached.items()):
        shares = sorted(points)
        deviations = [stdev(points[s]) if len(points[s]) > 1 else pstdev(points[s]) for s in shares]
        means = [mean(points[s]) for s in shares]
        ax.errorbar(shares, means, deviations, marker='o', markersize=4, color=f'C{index}', label=name)
        if name in best:
            ax.plot(shares, [best[name][s] for s in shares], '--', color=f'C{index}', linewidth=0.9)
    ax.set_xlabel('share of samples whose label is in one modality alone')
    ax.set_ylabel('test accuracy')
    ax.spines[['top', 'right']].set_visible(False)
    ax.grid(color='0.92')
    ax.set_axisbelow(True)
    ax.legend(frameon=False, title='dashed: best possible', title_fontsize='small')
    return figure

"""What is reached against where the information is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean, stdev

from matplotlib.figure import Figure


def draw_information_curve(
    reached: Mapping[str, Mapping[float, Sequence[float]]],
    best: Mapping[str, Mapping[float, float]],
    baseline: str,
) -> Figure:
    """Draw accuracies over the unique share, and beside them what is gained on the baseline.

    Left are the baseline and what is below it throughout, mean and standard deviation over seeds; right the
    differences of the others to the baseline, mean and standard error over paired seeds, in points.

    Args:
        reached: By name of the line and unique share, the accuracy of each seed, in one order.
        best: By name of the line and unique share, what no reader can surpass; dashed, in the colour of the
            line of that name. These lines stand left.
        baseline: Name of the line to compare with.
    """
    figure = Figure(figsize=(10, 4), layout='constrained')
    left, right = figure.subplots(1, 2)
    for index, (name, points) in enumerate(reached.items()):
        shares = sorted(points)
        line = dict(marker='o', markersize=4, color=f'C{index}', label=name)
        if name in best:
            values = [points[share] for share in shares]
            left.errorbar(shares, [mean(v) for v in values], [_deviation(v) for v in values], **line)
            left.plot(shares, [best[name][share] for share in shares], '--', color=f'C{index}', linewidth=0.9)
        else:
            gains = [
                [100 * (a - b) for a, b in zip(points[share], reached[baseline][share], strict=True)]
                for share in shares
            ]
            errors = [_deviation(g) / len(g) ** 0.5 for g in gains]
            right.errorbar(shares, [mean(g) for g in gains], errors, **line)
    right.axhline(0, color=f'C{list(reached).index(baseline)}', linewidth=0.9)
    left.set_ylabel('test accuracy')
    right.set_ylabel(f'points above {baseline} training')
    for ax in (left, right):
        ax.set_xlabel('share of samples whose label is in one modality alone')
        ax.spines[['top', 'right']].set_visible(False)
        ax.grid(color='0.92')
        ax.set_axisbelow(True)
        if ax.has_data() and ax.get_legend_handles_labels()[0]:
            ax.legend(frameon=False, fontsize='small')
    left.legend(frameon=False, title='dashed: best possible', title_fontsize='small', fontsize='small')
    return figure


def _deviation(values: Sequence[float]) -> float:
    return stdev(values) if len(values) > 1 else 0.0

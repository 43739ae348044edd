"""What methods gain on a baseline against what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmcggm.benchmark import Cost, Row

from .curves import COLOURS

LINE = 0.135  # inches between two labels


class Point(NamedTuple):
    """A method in a panel.

    Attributes:
        method: Its name.
        time: Of a training, relative to the baseline's: the step's times the number of steps.
        gain: Mean difference to the baseline, over the seeds that both have.
        error: Standard error of the mean difference; zero for one seed.
    """

    method: str
    time: float
    gain: float
    error: float


def cost_points(
    rows: Sequence[Row], costs: Mapping[str, Cost], metric: str, baseline: str
) -> dict[str, list[Point]]:
    """Return the points of each setting, by rising gain.

    Args:
        rows: Of :func:`~mmcggm.benchmark.summarise`.
        costs: Of :func:`~mmcggm.benchmark.measure_costs`; methods without one are left out.
        metric: Which to compare.
        baseline: The method to compare with; settings without it are left out.
    """
    own = [row for row in rows if row.metric == metric]
    references = {row.setting: dict(_by_seed(row)) for row in own if row.method == baseline}
    points: dict[str, list[Point]] = {}
    for row in own:
        reference = references.get(row.setting, {})
        gains = [value - reference[seed] for seed, value in _by_seed(row) if seed in reference]
        if gains and row.method in costs:
            time = costs[row.method].step_time * costs[row.method].steps
            error = stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else 0.0
            points.setdefault(row.setting, []).append(Point(row.method, time, mean(gains), error))
    return {setting: sorted(found, key=lambda point: point.gain) for setting, found in points.items()}


def draw_costs(panels: Mapping[str, Sequence[Point]], metric: str, baseline: str) -> Figure:
    """Draw gains, mean and standard error, over the time of a training; names stand beside the panel.

    Args:
        panels: By title, the points of each panel, by rising gain.
        metric: What is gained.
        baseline: The method that others are compared with.
    """
    height = max(3.6, LINE * max(map(len, panels.values())) + 0.8)
    figure = Figure(figsize=(2 + 5 * len(panels), height), layout='constrained')
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for ax, (title, points) in zip(axes, panels.items(), strict=True):
        for point in points:
            colour = COLOURS[point.method != baseline]
            ax.errorbar(
                point.time, point.gain, point.error, fmt='o', color=colour, markersize=4, elinewidth=0.8
            )
        ax.axhline(0, color=COLOURS[0], linestyle='--', linewidth=0.8)
        ax.set_xscale('log')
        for axis_format in (ax.xaxis.set_major_formatter, ax.xaxis.set_minor_formatter):
            axis_format('{x:g}')
        ax.set_title(title, loc='left', fontsize=10)
        ax.set_xlabel(f'time of a training relative to {baseline}')
        ax.spines[['top', 'right']].set_visible(False)
        ax.grid(color='0.92')
        ax.set_axisbelow(True)
        _name(ax, points, baseline, gap=LINE / (height - 0.8))
    figure.axes[0].set_ylabel(f'{metric} above {baseline}')
    return figure


def _by_seed(row: Row) -> list[tuple[int, float]]:
    return list(zip(row.seeds, row.values, strict=True))


def _name(ax: Axes, points: Sequence[Point], baseline: str, gap: float) -> None:
    """Write the method of each point right of the panel, a thin line from it.

    Args:
        ax: The panel, with its points drawn.
        points: By rising gain.
        baseline: Its name has its colour.
        gap: Least distance of two names, as a fraction of the panel's height.
    """
    low, high = ax.get_ylim()
    places = spread([(point.gain - low) / (high - low) for point in points], gap)
    for point, place in zip(points, places, strict=True):
        ax.annotate(
            point.method,
            xy=(point.time, point.gain),
            xytext=(1.03, place),
            textcoords='axes fraction',
            va='center',
            fontsize=7,
            color=COLOURS[point.method != baseline],
            arrowprops=dict(
                arrowstyle='-', color='0.8', linewidth=0.5, shrinkA=0, shrinkB=2, relpos=(0, 0.5)
            ),
        )


def spread(places: Sequence[float], gap: float) -> list[float]:
    """Return ``places``, in rising order, moved apart so that each is ``gap`` above the one before.

    They stay in [0, 1] as long as there is room, and move as little as possible (least squares).
    """
    groups: list[list[float]] = []  # each: the wished places of its members, less i gap
    for i, place in enumerate(places):
        groups.append([place - i * gap])
        while len(groups) > 1 and mean(groups[-2]) >= mean(groups[-1]):
            last = groups.pop()
            groups[-1].extend(last)
    last = max(0.0, 1 - (len(places) - 1) * gap)
    flat = [min(max(mean(group), 0.0), last) for group in groups for _ in group]
    return [place + i * gap for i, place in enumerate(flat)]

"""What methods reach against what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mmcggm.benchmark import Cost, Row

from .curves import COLOURS

LINE = 0.135  # inches between two labels


def draw_costs(rows: Sequence[Row], costs: Mapping[str, Cost], metric: str, baseline: str) -> Figure:
    """Draw a panel a setting: ``metric``, mean and standard deviation, over the time of a training.

    The time is relative to the baseline's: the step's times the number of steps. Names stand beside the
    panel, in the order of the means.

    Args:
        rows: Of :func:`~mmcggm.benchmark.summarise`.
        costs: Of :func:`~mmcggm.benchmark.measure_costs`; methods without one are left out.
        metric: Which to draw.
        baseline: The method whose value is drawn as a line.
    """
    points: dict[str, list[Row]] = {}
    for row in rows:
        if row.metric == metric and row.method in costs:
            points.setdefault(row.setting, []).append(row)
    height = max(3.6, LINE * max(map(len, points.values())) + 0.8)
    figure = Figure(figsize=(7, height * len(points)), layout='constrained')
    panels = figure.subplots(len(points), 1, sharex=True, squeeze=False)[:, 0]
    for ax, (setting, found) in zip(panels, points.items(), strict=True):
        found.sort(key=lambda row: row.mean)
        times = [costs[row.method].step_time * costs[row.method].steps for row in found]
        for row, time in zip(found, times, strict=True):
            deviation = 0 if row.std != row.std else row.std
            colour = COLOURS[row.method != baseline]
            ax.errorbar(time, row.mean, deviation, fmt='o', color=colour, markersize=4, elinewidth=0.8)
            if row.method == baseline:
                ax.axhline(row.mean, color=colour, linestyle='--', linewidth=0.8)
        ax.set_xscale('log')
        for axis_format in (ax.xaxis.set_major_formatter, ax.xaxis.set_minor_formatter):
            axis_format('{x:g}')
        ax.set_title(setting, loc='left', fontsize=10)
        ax.set_ylabel(metric)
        ax.spines[['top', 'right']].set_visible(False)
        ax.grid(color='0.92')
        ax.set_axisbelow(True)
        _name(ax, found, times, baseline, gap=LINE / (height - 0.8))
    panels[-1].set_xlabel(f'time of a training relative to {baseline}')
    return figure


def _name(ax: Axes, rows: Sequence[Row], times: Sequence[float], baseline: str, gap: float) -> None:
    """Write the method of each row, sorted by mean, right of the panel, a thin line from its point.

    Args:
        ax: The panel, with its points drawn.
        rows: In rising order.
        times: Of the rows.
        baseline: Its name has its colour.
        gap: Least distance of two names, as a fraction of the panel's height.
    """
    low, high = ax.get_ylim()
    places = spread([(row.mean - low) / (high - low) for row in rows], gap)
    for row, time, place in zip(rows, times, places, strict=True):
        ax.annotate(
            row.method,
            xy=(time, row.mean),
            xytext=(1.03, place),
            textcoords='axes fraction',
            va='center',
            fontsize=7,
            color=COLOURS[row.method != baseline],
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
        while len(groups) > 1 and _mean(groups[-2]) >= _mean(groups[-1]):
            last = groups.pop()
            groups[-1].extend(last)
    last = max(0.0, 1 - (len(places) - 1) * gap)
    flat = [min(max(_mean(group), 0.0), last) for group in groups for _ in group]
    return [place + i * gap for i, place in enumerate(flat)]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)

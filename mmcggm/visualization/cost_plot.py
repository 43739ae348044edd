"""What methods reach against what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from mmcggm.benchmark import Cost, Row

from .curves import COLOURS


def draw_costs(rows: Sequence[Row], costs: Mapping[str, Cost], metric: str, baseline: str) -> Figure:
    """Draw a panel a setting: ``metric``, mean and standard deviation, over the time of a training.

    The time is relative to the baseline's: the step's times the number of steps.

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
    figure = Figure(figsize=(7, 3.6 * len(points)), layout='constrained')
    panels = figure.subplots(len(points), 1, sharex=True, squeeze=False)[:, 0]
    for ax, (setting, found) in zip(panels, points.items(), strict=True):
        for row in found:
            cost = costs[row.method]
            x, colour = cost.step_time * cost.steps, COLOURS[row.method != baseline]
            deviation = 0 if row.std != row.std else row.std
            ax.errorbar(x, row.mean, deviation, fmt='o', color=colour, markersize=4, elinewidth=0.8)
            ax.annotate(row.method, (x, row.mean), (4, 3), textcoords='offset points', fontsize=7)
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
    panels[-1].set_xlabel(f'time of a training relative to {baseline}')
    return figure

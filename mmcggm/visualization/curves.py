"""What happened to each modality during training: balancing term, score, gradient's norm and direction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.signal import lfilter

PANELS = dict(
    B='Balancing term $B$',
    score=r'Score $\epsilon$',
    cos=r'Cosine of $g$ and $g_i$',
    norm=r'Gradient norm $\|\nabla\theta_i\|$',
    agreement=r'Cosine at $\theta_i$',
)
# Where the log has them; of a quantity that is logged twice, the last is taken.
LOGGED = {
    'balance/B': 'B',
    'balance/score': 'score',
    'balance/cos': 'cos',
    'gradient/score': 'score',
    'gradient/norm': 'norm',
    'gradient/cos': 'agreement',
}
FUSED = 'fused'  # the name of the line of the fused model
# Okabe and Ito's palette, which colour-blind readers can tell apart; its yellow is too pale for lines.
COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#56B4E9', '#E69F00')
EXPECTED = (
    'Expected {time}/vis_data/scalars.json, as MMEngine writes it, with balance/B/{modality} or '
    'gradient/norm/{modality} in its lines: train with BalancingHook or GradientStatsHook in `custom_hooks`.'
)

Curves = dict[str, dict[str, np.ndarray]]


def read_curves(work_dir: str | Path) -> Curves:
    """Read the balancer's curves of all runs in ``work_dir``, joined by iteration.

    A resumed training leaves several runs. From its first iteration on, a later one replaces what earlier
    ones have, so of trainings that were started anew only the last is left.

    Args:
        work_dir: Work folder of an MMEngine runner.

    Returns:
        Array ``(points, 2)`` of iterations and values by quantity and modality: ``'B'``, ``'score'`` and,
        where the direction term was used, ``'cos'``; of GradientStatsHook ``'agreement'``, and ``'norm'`` and
        ``'score'`` also of ``'fused'``. What another method logs by modality has its name there.

    Raises:
        FileNotFoundError: If there is no run, or none with curves of modalities.
        ValueError: If a line is not JSON.
    """
    # Folders of runs bear their times as names. A test leaves a run too, but no curves.
    runs = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    curves: Curves = {}
    for run in map(_read_run, runs):
        if any(run.values()):
            curves = _joined(curves, run) if curves else run
    if curves:
        return {quantity: lines for quantity, lines in curves.items() if lines}
    found = f'none of its {len(runs)} runs has curves of modalities' if runs else 'it holds no run'
    raise FileNotFoundError(f'Nothing to plot in {work_dir}: {found}. {EXPECTED}')


def _joined(earlier: Curves, later: Curves) -> Curves:
    """Return ``later`` after what ``earlier`` has of the iterations before it."""
    start = min(line[:, 0].min() for lines in later.values() for line in lines.values())
    result: Curves = {}
    for quantity, lines in later.items():
        before = {modality: line[line[:, 0] < start] for modality, line in earlier.get(quantity, {}).items()}
        before = {modality: line for modality, line in before.items() if len(line)}
        both = {m: np.concatenate([before[m], line]) if m in before else line for m, line in lines.items()}
        result[quantity] = {**before, **both}
    return result


def _read_run(path: Path) -> Curves:
    points: dict[str, dict[str, list]] = {quantity: {} for quantity in PANELS}
    for number, line in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
        try:
            scalars = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f'{path}, line {number} is not JSON: {error}') from error
        found: dict[tuple[str, str], float] = {}
        for key, value in scalars.items():
            name, _, modality = key.rpartition('/')
            if name in LOGGED:
                found[LOGGED[name], modality] = value
            elif name.startswith('balance/'):  # what other methods than CGGM tell of each modality
                found[name.removeprefix('balance/'), modality] = value
        iteration = scalars.get('iter', scalars.get('step'))
        for (quantity, modality), value in found.items():
            points.setdefault(quantity, {}).setdefault(modality, []).append((iteration, value))
    return {
        quantity: {modality: np.array(line, dtype=float) for modality, line in lines.items()}
        for quantity, lines in points.items()
    }


def smoothed(values: np.ndarray, smooth: float) -> np.ndarray:
    """Return the exponential mean of ``values`` (points,) with weight ``smooth`` on the past.

    Its start is corrected for the missing past, so a constant stays what it is.
    """
    weights = lfilter([1 - smooth], [1, -smooth], np.ones_like(values))
    return lfilter([1 - smooth], [1, -smooth], values) / weights


def draw_curves(curves: Curves, smooth: float = 0.9) -> Figure:
    """Draw a panel a quantity over the training iterations, with a line a modality.

    The neutral value of B, (M - 1)/M for M modalities, is dashed. The axis of B leaves out the
    extremes near a pole; the panel says how many points are beyond it.

    Args:
        curves: Of :func:`read_curves`.
        smooth: Weight of the past in the lines, in [0, 1); the raw values are drawn faint. 0 draws
            the raw values alone.

    Raises:
        ValueError: If ``smooth`` is out of range.
    """
    return draw_runs({'': [curves]}, smooth)


def draw_runs(runs: Mapping[str, Sequence[Curves]], smooth: float = 0.9) -> Figure:
    """Draw trainings side by side, as :func:`draw_curves` draws one: a column a name.

    Args:
        runs: Curves of one training or of several, its seeds, by name; of the same modalities. Of several,
            the line is their mean and the band is a standard deviation to both sides, over the iterations
            that all have.
        smooth: As of :func:`draw_curves`; each seed is smoothed by itself.

    Raises:
        ValueError: If ``smooth`` is out of range, or there is no training.
    """
    if not 0 <= smooth < 1:
        raise ValueError(f'smooth is {smooth}, it must be in [0, 1).')
    if not runs or not all(runs.values()):
        raise ValueError('There is no training to draw.')
    every = [curves for seeds in runs.values() for curves in seeds]
    logged = dict.fromkeys(quantity for curves in every for quantity in curves)
    quantities = [quantity for quantity in dict.fromkeys([*PANELS, *logged]) if quantity in logged]
    modalities = modalities_of(every)
    colours = {modality: COLOURS[i % len(COLOURS)] for i, modality in enumerate(modalities)} | {FUSED: '0.1'}
    size = (7 if len(runs) == 1 else 1 + 4 * len(runs), 0.9 + 1.9 * len(quantities))
    figure = Figure(figsize=size, layout='constrained')
    grid = figure.subplots(len(quantities), len(runs), sharex='col', sharey='row', squeeze=False)
    for column, (name, seeds) in enumerate(runs.items()):
        for ax, quantity in zip(grid[:, column], quantities, strict=True):
            for modality in (*modalities, FUSED):
                lines = [c[quantity][modality] for c in seeds if modality in c.get(quantity, {})]
                _draw_line(ax, lines, smooth, colours[modality], modality)
            ax.spines[['top', 'right']].set_visible(False)
            ax.grid(axis='y', color='0.92')
            ax.set_axisbelow(True)
            ax.margins(x=0.01)
            if not any(curves.get(quantity) for curves in seeds):
                ax.text(0.5, 0.5, 'not logged', transform=ax.transAxes, color='0.5', ha='center')
        if name:
            grid[0, column].set_title(f'{name}, {len(seeds)} seeds' if len(seeds) > 1 else name)
        grid[-1, column].set_xlabel('Iteration')
    for ax, quantity in zip(grid[:, 0], quantities, strict=True):
        ax.set_ylabel(PANELS.get(quantity, quantity))
    if 'B' in quantities:
        panels = grid[quantities.index('B')]
        neutral = (len(modalities) - 1) / len(modalities)
        label = f'neutral, $(M-1)/M$ = {neutral:.2f}'
        for ax, seeds in zip(panels, runs.values(), strict=True):
            if any('B' in curves for curves in seeds):
                ax.axhline(neutral, color='0.25', linestyle='--', linewidth=1, label=label)
        _limit(panels[0], [line for curves in every for line in curves.get('B', {}).values()], neutral)
    figure.align_ylabels(grid[:, 0])
    entries = {
        label: line for ax in grid.flat for line, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        entries.values(),
        entries.keys(),
        loc='outside upper center',
        ncols=min(len(entries), 5),
        frameon=False,
    )
    return figure


def modalities_of(every: Sequence[Curves]) -> tuple[str, ...]:
    """Return the modalities of all trainings, in their order."""
    names = dict.fromkeys(name for curves in every for lines in curves.values() for name in lines)
    return tuple(name for name in names if name != FUSED)


def _draw_line(ax: Axes, lines: Sequence[np.ndarray], smooth: float, colour: str, label: str) -> None:
    """Draw a line over points ``(points, 2)`` of each seed, with a band if there are several."""
    lines = [line[np.isfinite(line[:, 1])] for line in lines]  # smoothing would carry a NaN on
    lines = [line for line in lines if len(line)]
    if not lines:
        return
    if len(lines) == 1:
        iterations, values = lines[0].T
        if smooth:
            ax.plot(iterations, values, color=colour, alpha=0.22, linewidth=0.7)
        ax.plot(iterations, smoothed(values, smooth), color=colour, linewidth=1.8, label=label)
        return
    iterations = lines[0][:, 0]
    start, end = (max(line[0, 0] for line in lines), min(line[-1, 0] for line in lines))
    iterations = iterations[(iterations >= start) & (iterations <= end)]
    values = np.stack([np.interp(iterations, line[:, 0], smoothed(line[:, 1], smooth)) for line in lines])
    mean, deviation = values.mean(0), values.std(0, ddof=1)
    ax.fill_between(iterations, mean - deviation, mean + deviation, color=colour, alpha=0.18, linewidth=0)
    ax.plot(iterations, mean, color=colour, linewidth=1.8, label=label)


def _limit(ax: Axes, lines: Sequence[np.ndarray], neutral: float) -> None:
    """Limit the axis to the central 98 % of the values where the rest would flatten them."""
    values = np.concatenate(lines)[:, 1]
    low, high = np.percentile(values[np.isfinite(values)], (1, 99))
    low, high = min(low, neutral), max(high, neutral)
    margin = 0.25 * (high - low) or 0.1
    outside = np.count_nonzero((values < low - margin) | (values > high + margin))
    if outside:
        ax.set_ylim(low - margin, high + margin)
        ax.set_title(
            f'{outside} of {len(values)} values beyond the axis', loc='right', fontsize=8, color='0.35'
        )

"""What the balancer did during training: balancing term, score and cosine of each modality."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.signal import lfilter

PANELS = dict(B='Balancing term $B$', score=r'Score $\epsilon$', cos=r'Cosine of $g$ and $g_i$')
# Okabe and Ito's palette, which colour-blind readers can tell apart; its yellow is too pale for lines.
COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#56B4E9', '#E69F00')
EXPECTED = (
    'Expected {time}/vis_data/scalars.json, as MMEngine writes it, with balance/B/{modality} '
    'in its lines: train with BalancingHook in `custom_hooks`.'
)

Curves = dict[str, dict[str, np.ndarray]]


def read_curves(work_dir: str | Path) -> Curves:
    """Read the balancer's curves of all runs in ``work_dir``, joined by iteration.

    A resumed training leaves several runs. From its first iteration on, a later one replaces what earlier
    ones have, so of trainings that were started anew only the last is left.

    Args:
        work_dir: Work folder of an MMEngine runner.

    Returns:
        Array ``(points, 2)`` of iterations and values by quantity (``'B'``, ``'score'`` and, where
        the direction term was used, ``'cos'``) and modality.

    Raises:
        FileNotFoundError: If there is no run, or none with a balancer.
        ValueError: If a line is not JSON.
    """
    # Folders of runs bear their times as names. A test leaves a run too, but no curves.
    runs = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    curves: Curves = {}
    for run in map(_read_run, runs):
        if run['B']:
            curves = _joined(curves, run) if curves else run
    if curves:
        return {quantity: lines for quantity, lines in curves.items() if lines}
    found = f'none of its {len(runs)} runs has the curves of a balancer' if runs else 'it holds no run'
    raise FileNotFoundError(f'Nothing to plot in {work_dir}: {found}. {EXPECTED}')


def _joined(earlier: Curves, later: Curves) -> Curves:
    """Return ``later`` after what ``earlier`` has of the iterations before it."""
    start = min(line[:, 0].min() for lines in later.values() for line in lines.values())
    result: Curves = {}
    for quantity, lines in later.items():
        before = {modality: line[line[:, 0] < start] for modality, line in earlier[quantity].items()}
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
        for key, value in scalars.items():
            prefix, _, name = key.partition('/')
            quantity, _, modality = name.partition('/')
            if prefix == 'balance' and modality and quantity in points:
                iteration = scalars.get('iter', scalars.get('step'))
                points[quantity].setdefault(modality, []).append((iteration, value))
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
    if not 0 <= smooth < 1:
        raise ValueError(f'smooth is {smooth}, it must be in [0, 1).')
    modalities = list(curves['B'])
    figure = Figure(figsize=(7, 0.9 + 1.9 * len(curves)), layout='constrained')
    panels = figure.subplots(len(curves), 1, sharex=True, squeeze=False)[:, 0]
    for ax, (quantity, lines) in zip(panels, curves.items(), strict=True):
        for index, modality in enumerate(modalities):
            line = lines[modality]
            iterations, values = line[np.isfinite(line[:, 1])].T  # smoothing would carry a NaN on
            colour = COLOURS[index % len(COLOURS)]
            if smooth:
                ax.plot(iterations, values, color=colour, alpha=0.22, linewidth=0.7)
            ax.plot(iterations, smoothed(values, smooth), color=colour, linewidth=1.8, label=modality)
        ax.set_ylabel(PANELS[quantity])
        ax.spines[['top', 'right']].set_visible(False)
        ax.grid(axis='y', color='0.92')
        ax.set_axisbelow(True)
        ax.margins(x=0.01)
    neutral = (len(modalities) - 1) / len(modalities)
    panels[0].axhline(
        neutral, color='0.25', linestyle='--', linewidth=1, label=f'neutral, $(M-1)/M$ = {neutral:.2f}'
    )
    _limit(panels[0], [*curves['B'].values()], neutral)
    panels[-1].set_xlabel('Iteration')
    figure.align_ylabels(panels)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc='outside upper center', ncols=len(labels), frameon=False)
    return figure


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

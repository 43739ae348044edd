"""Trainings as one HTML page that holds all that it shows."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from .curves import COLOURS, Curves, draw_runs, modalities_of, read_curves
from .training_log import BY_MODALITY, TrainingLog

TEMPLATE = Path(__file__).parent / 'report.html'
PICTURES = {'.png': 'image/png', '.jpg': 'image/jpeg', '.jpeg': 'image/jpeg', '.svg': 'image/svg+xml'}
BALANCE = re.compile('(balance|gradient)/[^/]+/')  # of scalars by modality
MOST_PICTURES = 12  # of a training
MOST_PANELS = 6  # of metrics


def report_page(trainings: Sequence[TrainingLog], samples: Mapping[str, Figure] | None = None) -> str:
    """Return the page: settings, results, what each modality contributes, curves and pictures.

    Args:
        trainings: Those that are compared; a page of one says the same of it.
        samples: Figures of predictions, by the heading that they get. Pictures in the work folders are
            shown besides.

    Raises:
        ValueError: If there is no training.
    """
    if not trainings:
        raise ValueError('There is no training to report on.')
    names = short_names([training.work_dir for training in trainings])
    by_name = dict(zip(names, trainings, strict=True))
    sections = {
        'Trainings': _trainings(by_name),
        'Results': _results(by_name),
        'What each modality contributes': _contributions(by_name),
        'Curves': _picture(draw_progress(by_name)),
        'What each encoder has learnt': _guides(by_name),
        'Balance during training': _balance(by_name),
        'Sample predictions': ''.join(
            f'<h3>{html.escape(title)}</h3>{_picture(figure)}' for title, figure in (samples or {}).items()
        ),
        'Pictures in the work folders': ''.join(
            _found_pictures(name, training.work_dir) for name, training in by_name.items()
        ),
        'Settings': ''.join(
            f'<details><summary>{html.escape(name)}</summary><pre>{html.escape(t.cfg.pretty_text)}</pre></details>'
            for name, t in by_name.items()
        ),
    }
    body = ''.join(f'<section><h2>{title}</h2>{text}</section>' for title, text in sections.items() if text)
    parts = {'@TITLE@': html.escape(', '.join(names)), '@BODY@': body}
    template = TEMPLATE.read_text(encoding='utf-8')
    return re.sub('|'.join(parts), lambda mark: parts[mark[0]], template)


def short_names(folders: Sequence[Path]) -> list[str]:
    """Return the ends of paths by which they differ: ``ogm/mfeat`` and ``cggm/mfeat``; of one, its name."""
    paths = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, paths)) + 1):
        names = ['/'.join(parts[-length:]) for parts in paths]
        if len(set(names)) == len(names):
            return names
    return [f'{"/".join(parts[-1:])} ({index})' for index, parts in enumerate(paths, 1)]


def draw_progress(trainings: Mapping[str, TrainingLog]) -> Figure:
    """Draw the loss in training and the metrics of validation, a line a training, a panel a quantity."""
    return _draw_panels(trainings, ['loss', *list(_validated(trainings, _is_metric))[: MOST_PANELS - 1]])


def _guides(trainings: Mapping[str, TrainingLog]) -> str:
    """Draw the scores of the guides, and of those on untrained encoders, in validation."""
    panels = _validated(trainings, lambda name: name.partition('/')[0] in ('guide', 'guide_untrained'))
    return _picture(_draw_panels(trainings, panels)) if panels else ''


def _validated(trainings: Mapping[str, TrainingLog], wanted: Callable[[str], bool]) -> list[str]:
    names = dict.fromkeys(name for log in trainings.values() for line in log.val for name in line)
    return [name for name in names if wanted(name)]


def _draw_panels(trainings: Mapping[str, TrainingLog], panels: Sequence[str]) -> Figure:
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(3.7 * columns, 2.6 * rows + 0.4), layout='constrained')
    axes = figure.subplots(rows, columns, squeeze=False).flat
    for ax, panel in zip(axes, panels, strict=False):
        for index, (name, log) in enumerate(trainings.items()):
            lines = [line for line in (log.train if panel == 'loss' else log.val) if panel in line]
            steps, values = [line['step'] for line in lines], [line[panel] for line in lines]
            marker = 'o' if len(lines) == 1 else None
            ax.plot(
                steps, values, marker=marker, color=COLOURS[index % len(COLOURS)], linewidth=1.6, label=name
            )
        ax.set_title(panel, fontsize=10)
        ax.set_xlabel(
            'iteration' if panel == 'loss' else 'epoch (or iteration) of the validation', fontsize=8
        )
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6))
        ax.tick_params(labelsize=8)
        ax.spines[['top', 'right']].set_visible(False)
        ax.grid(axis='y', color='0.92')
    for ax in list(axes)[len(panels) :]:
        ax.remove()
    handles, labels = figure.axes[0].get_legend_handles_labels()
    if len(trainings) > 1:
        figure.legend(handles, labels, loc='outside upper left', ncols=min(4, len(labels)), frameon=False)
    return figure


def _is_metric(name: str) -> bool:
    return '/' not in name and name not in ('step', 'time', 'data_time', 'memory', 'epoch', 'iter')


def _trainings(trainings: Mapping[str, TrainingLog]) -> str:
    rows = []
    for name, log in trainings.items():
        cfg, last = log.cfg, log.train[-1]
        model, loader = cfg.get('model', {}), cfg.get('train_dataloader', {})
        seed = cfg.get('randomness', {}).get('seed')
        rows.append(
            {
                'training': name,
                'method': log.method,
                'model': (model.get('model') or model).get('type', '–'),
                'data': loader.get('dataset', {}).get('type', '–'),
                'batch': loader.get('batch_size', '–'),
                'epochs': last.get('epoch', '–'),
                'last logged iteration': last['step'],
                'seed': 'none' if seed is None else seed,
            }
        )
    return _table(rows)


def _results(trainings: Mapping[str, TrainingLog]) -> str:
    rows = [
        {'training': name, 'of': 'the test' if log.test else 'the last validation', **log.overall()}
        for name, log in trainings.items()
        if log.overall()
    ]
    return _table(rows)


def _contributions(trainings: Mapping[str, TrainingLog]) -> str:
    rows = [
        {
            'training': name,
            'modality': modality,
            **{BY_MODALITY[kind]: value for kind, value in kinds.items()},
        }
        for name, log in trainings.items()
        for modality, kinds in log.by_modality().items()
    ]
    return _table(rows)


def _balance(trainings: Mapping[str, TrainingLog]) -> str:
    """Draw the curves of those that logged any, side by side where their modalities are the same."""
    figures: dict[tuple[str, ...], dict[str, list[Curves]]] = {}
    for name, log in trainings.items():
        if any(BALANCE.match(key) for line in log.train for key in line):
            curves = read_curves(log.work_dir)
            figures.setdefault(modalities_of([curves]), {})[name] = [curves]
    return ''.join(_picture(draw_runs(runs)) for runs in figures.values())


def _table(rows: Sequence[Mapping[str, object]]) -> str:
    if not rows:
        return ''
    columns = list(dict.fromkeys(column for row in rows for column in row))
    head = ''.join(f'<th>{html.escape(column)}</th>' for column in columns)
    body = ''.join(
        '<tr>' + ''.join(_cell(row.get(column, '–')) for column in columns) + '</tr>' for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(value: object) -> str:
    if isinstance(value, float):
        return f'<td class="number">{value:.4g}</td>'
    return f'<td{" class=number" * isinstance(value, int)}>{html.escape(str(value))}</td>'


def _picture(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format='png', dpi=130)
    return _image(buffer.getvalue(), 'image/png')


def _image(content: bytes, kind: str) -> str:
    return f'<img alt="" src="data:{kind};base64,{base64.b64encode(content).decode()}">'


def _found_pictures(name: str, work_dir: Path) -> str:
    """Show the pictures that lie in a work folder, such as those of MMEngine's visualisation hooks."""
    paths: Iterable[Path] = sorted(path for path in work_dir.rglob('*') if path.suffix.lower() in PICTURES)
    shown = list(paths)[:MOST_PICTURES]
    return ''.join(
        f'<figure>{_image(path.read_bytes(), PICTURES[path.suffix.lower()])}'
        f'<figcaption>{html.escape(f"{name}: {path.relative_to(work_dir)}")}</figcaption></figure>'
        for path in shown
    )

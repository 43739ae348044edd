"""Draw the README's figure from the table of Multiple Features in docs/comparison.md.

    python docs/images/imbalance.py

Left: what a small network reads from each encoder, beside an encoder that has learnt nothing. Right: the
accuracy of the fused model.
"""

from pathlib import Path
from statistics import mean

import matplotlib

matplotlib.use('Agg')
from matplotlib import pyplot

FOLDER = Path(__file__).parent
VIEWS = dict(fac='profile\ncorrelations', pix='pixels', kar='Karhunen-Loève\ncoefficients')
METHODS = {'joint': 'joint training', 'multi-loss': 'multi-loss', 'MMPareto': 'MMPareto'}
UNTRAINED, ALONE = 'untrained encoder', 'trained alone'
COLOURS = {
    UNTRAINED: '#d4d4d4',
    'joint training': '#d95f02',
    ALONE: '#636363',
    'MMPareto': '#1b9e77',
    'multi-loss': '#7570b3',
}


def read_table(page: Path, title: str) -> dict[str, dict[str, tuple[float, float]]]:
    """Return by method and column the mean and standard deviation in the table under a title."""
    section = page.read_text(encoding='utf-8').split(f'\n## {title}\n')[1]
    rows = (line for line in section.split('\n#')[0].splitlines() if line.startswith('|'))
    lines = [row.strip('| ').split(' | ') for row in rows]
    header, _, *rows = lines
    return {
        name: {
            column: (float(cell.split(' ± ')[0]), float(cell.split(' ± ')[1]))
            for column, cell in zip(header[1:], cells, strict=True)
            if ' ± ' in cell
        }
        for name, *cells in rows
    }


def encoders(table: dict[str, dict[str, tuple[float, float]]]) -> dict[str, list[float]]:
    """Return by training what the guide of each view scores, untrained where other views are alone."""
    found = {
        UNTRAINED: [
            mean(
                row[f'guide/{view}'][0]
                for name, row in table.items()
                if name.endswith(' alone') and not name.startswith(view)
            )
            for view in VIEWS
        ],
        'joint training': [table['joint'][f'guide/{view}'][0] for view in VIEWS],
        ALONE: [table[f'{view} alone'][f'guide/{view}'][0] for view in VIEWS],
    }
    others = [method for method in METHODS if method != 'joint']
    return found | {method: [table[method][f'guide/{view}'][0] for view in VIEWS] for method in others}


def draw(table: dict[str, dict[str, tuple[float, float]]], path: Path) -> None:
    """Draw both panels into a file."""
    pyplot.rcParams.update({'font.size': 9, 'svg.fonttype': 'path', 'svg.hashsalt': 'mmcggm'})
    figure, (left, right) = pyplot.subplots(
        1, 2, figsize=(8, 3), width_ratios=[3, 1.6], layout='constrained', facecolor='white'
    )
    bars = encoders(table)
    width = 0.8 / len(bars)
    for place, (name, values) in enumerate(bars.items()):
        at = [index + (place - (len(bars) - 1) / 2) * width for index in range(len(values))]
        left.bar(at, values, width * 0.9, color=COLOURS[name], label=name)
    left.set_xticks(range(len(VIEWS)), VIEWS.values())
    left.set_title('What each encoder has learnt (accuracy of its guide)', fontsize=9, loc='left')
    left.set_ylim(0, 0.92)
    figure.legend(loc='outside lower center', ncols=len(bars), frameon=False)
    for place, (method, name) in enumerate(METHODS.items()):
        value, deviation = table[method]['accuracy']
        right.errorbar(place, value, deviation, fmt='o', capsize=3, color=COLOURS[name])
    right.set_xticks(range(len(METHODS)), ['joint', *list(METHODS)[1:]])
    right.set_xlim(-0.6, len(METHODS) - 0.4)
    right.set_title('The fused model (accuracy)', fontsize=9, loc='left')
    for axes in (left, right):
        axes.spines[['top', 'right']].set_visible(False)
    figure.savefig(path, metadata=dict(Date=None))
    pyplot.close(figure)


if __name__ == '__main__':
    draw(read_table(FOLDER.parent / 'comparison.md', 'Multiple Features'), FOLDER / 'imbalance.svg')

"""Draw the figure of docs/missing_modalities.md from its table of subsets of the BraTS sequences.

python docs/images/missing.py
"""

from pathlib import Path

import matplotlib

matplotlib.use('Agg')
from matplotlib import pyplot

FOLDER = Path(__file__).parent
COLOURS = {'joint': '#d95f02', 'multi-loss': '#7570b3', 'CGGM': '#1b9e77'}
DROPOUT = ' + dropout'


def read_table(page: Path, corner: str) -> tuple[list[str], dict[str, list[float]]]:
    """Return the rows' names and by column the means of the table whose first cell is ``corner``."""
    lines = page.read_text(encoding='utf-8').splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(f'| {corner} |'))
    end = next(i for i in range(start, len(lines)) if not lines[i].startswith('|'))
    header, _, *rows = ([cell.strip() for cell in line.strip('|').split('|')] for line in lines[start:end])
    means = {
        name: [float(row[column].split(' ± ')[0]) for row in rows]
        for column, name in enumerate(header)
        if column
    }
    return [row[0] for row in rows], means


def draw(names: list[str], means: dict[str, list[float]], path: Path) -> None:
    """Draw the Dice of each method for each subset, the complete one at the top."""
    pyplot.rcParams.update({'font.size': 9, 'svg.fonttype': 'path', 'svg.hashsalt': 'mmcggm'})
    figure, axes = pyplot.subplots(figsize=(7, 4.4), layout='constrained', facecolor='white')
    places = range(len(names))
    for method, values in means.items():
        plain = method.removesuffix(DROPOUT)
        colour, filled = COLOURS[plain], method.endswith(DROPOUT)
        axes.plot(
            values, places, 'o', color=colour, markerfacecolor=colour if filled else 'white', label=method
        )
    axes.hlines(places, 0, 1, color='#e8e8e8', zorder=0)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.set_xlabel('Dice, mean over WT, TC and ET')
    axes.spines[['top', 'right', 'left']].set_visible(False)
    axes.tick_params(axis='y', length=0)
    figure.legend(loc='outside lower center', ncols=3, frameon=False)
    figure.savefig(path, metadata=dict(Date=None))
    pyplot.close(figure)


if __name__ == '__main__':
    draw(*read_table(FOLDER.parent / 'missing_modalities.md', 'sequences'), FOLDER / 'missing.svg')

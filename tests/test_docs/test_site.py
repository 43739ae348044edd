"""The site has every page once, and links lead somewhere; building it is `make docs`."""

import re
from pathlib import Path

import pytest

from tests.test_docs.pages import DOCS, PAGES, ROOT

ALL = sorted([*PAGES, *DOCS.glob('*/*.md')])
LINK = re.compile(r'!?\[[^\]]*\]\(([^)\s]+)\)')
INCLUDE = re.compile(r'```\{include\} (\S+)')


def text_of(page: Path) -> str:
    """Return a page without its blocks of code, or the page that it includes."""
    text = page.read_text(encoding='utf-8')
    included = INCLUDE.search(text)
    if included:
        return text_of((page.parent / included[1]).resolve())
    return re.sub(r'^ *```.*?^ *```$', '', text, flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub and MyST give the headings of a page."""
    titles = re.findall(r'^#+ (.*)$', text_of(page), re.MULTILINE)
    return {re.sub(r'[^\w\- ]', '', title.lower()).replace(' ', '-') for title in titles}


@pytest.mark.parametrize('page', ALL, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    if INCLUDE.search(page.read_text(encoding='utf-8')):
        return  # the page that it includes is tested where it lies
    for link in LINK.findall(text_of(page)):
        if '://' in link:
            continue
        path, _, anchor = link.partition('#')
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_the_navigation_has_each_page_once():
    found: list[Path] = []
    for page in DOCS.rglob('*.md'):
        for tree in re.findall(r'^```\{toctree\}\n(.*?)^```$', page.read_text(encoding='utf-8'), re.M | re.S):
            entries = [line for line in tree.splitlines() if line and not line.startswith(':')]
            found += [page.parent / f'{entry}.md' for entry in entries]
    present = {path for path in found if path.exists()}
    assert present == set(DOCS.rglob('*.md')) - {DOCS / 'index.md'}
    assert len(found) == len(set(found))


def test_the_readme_names_the_command_of_the_tests():
    assert 'make test' in (ROOT / '.ci' / 'run').read_text(encoding='utf-8')
    assert '`make test`' in (ROOT / 'README.md').read_text(encoding='utf-8')


def table_of(text: str, start: str) -> dict[str, list[str]]:
    """Return by the first column the other cells of the first table after ``start``."""
    lines = text[text.index(start) :].splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith('|'))
    rows = {}
    for line in lines[first:]:
        if not line.startswith('|'):
            return rows
        name, *cells = (cell.strip() for cell in line.strip('|').split('|'))
        rows[name] = cells
    return rows


def test_the_readmes_figures_are_those_of_the_comparison():
    """Differences to joint training are the same, and bold where the corrected p value is below 0.05."""
    comparison = (DOCS / 'comparison.md').read_text(encoding='utf-8')
    features = table_of(comparison, '| method | 36 epochs')
    digits = [table_of(comparison, f'Noise {noise}:') for noise in ('0.3', '0.7')]
    names = {
        'joint, twice the epochs': 'joint',
        "paper's CGGM": 'CGGM paper',
        'TeachingCGGM': 'CGGM teaching',
        'GradientBlending': 'Gradient-Blending',
        'OGM with noise (GE)': 'OGM-GE',
        'CosineHead (MMCosine)': 'MMCosine',
    }
    shown = table_of((ROOT / 'README.md').read_text(encoding='utf-8'), '| method | what it does')
    assert len(shown) > 24
    for label, (_, *figures) in list(shown.items())[2:]:
        name = names.get(label.replace('`', ''), label.strip('`'))
        for column, (figure, table) in enumerate(zip(figures, [features, *digits], strict=True)):
            longer = name == 'joint'
            row = table[name if not longer else ('joint 24 epochs' if column else 'joint 72 epochs')]
            difference, p = (row[3], row[5]) if column else (row[2], row[4])
            expected = f'{100 * float(difference):+.1f}'.replace('-', '−')
            is_significant = p.startswith('<') or float(p) < 0.05
            assert figure.rstrip('†‡') == (f'**{expected}**' if is_significant else expected), label

"""The site has every page once, and links lead somewhere; building it is `make docs`."""

import itertools
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


def table_of(text: str, start: str) -> dict[str, dict[str, str]]:
    """Return by the first column the cells, by the head of theirs, of the first table after ``start``.

    Of columns with the same head it is the first.
    """
    lines = text[text.index(start) :].splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith('|'))
    cells = [
        [cell.strip() for cell in line.strip('|').split('|')]
        for line in itertools.takewhile(lambda line: line.startswith('|'), lines[first:])
    ]
    heads = cells[0]
    return {name: dict(zip(heads[:0:-1], values[::-1], strict=True)) for name, *values in cells[2:]}


SETS = ('Multiple Features', 'AV digits', 'TCGA-BRCA')


def test_the_readmes_figures_are_those_of_the_comparison():
    """Differences to joint training are the same, and bold where the corrected p value is below 0.05."""
    comparison = (DOCS / 'comparison.md').read_text(encoding='utf-8')
    measured = {name: table_of(comparison, f'\n## {name}\n') for name in SETS}
    names = {
        "paper's CGGM": 'CGGM paper',
        'MultiLoss': 'multi-loss',
        'ModalityDropout': 'modality dropout',
        'DataRemixing': 'Data Remixing',
        'TeachingCGGM': 'CGGM teaching',
        'GradientBlending': 'Gradient-Blending',
        'OGM with noise (GE)': 'OGM-GE',
        'CosineHead (MMCosine)': 'MMCosine',
        'pretrained encoders, finetuned': 'pretrained finetuned',
        'ensemble': 'ensemble of probabilities',
    }
    longer = dict(zip(SETS, ('joint 144 epochs', 'joint 72 epochs', 'joint 60 epochs'), strict=True))
    shown = table_of((ROOT / 'README.md').read_text(encoding='utf-8'), '| method | what it does')
    assert len(shown) > 30
    for label, cells in shown.items():
        for name in SETS:
            row = measured[name].get(longer[name])
            if label != 'joint, twice the epochs':
                row = measured[name].get(names.get(label.replace('`', ''), label.strip('`')))
            if row is None:
                assert cells[name] == '–', (label, name)
                continue
            expected = f'{100 * float(row["Δ joint"]):+.1f}'.replace('-', '−')
            p = row['p (Holm)']
            is_significant = p.startswith('<') or (p != '–' and float(p) < 0.05)
            assert cells[name] == (f'**{expected}**' if is_significant else expected), (label, name)

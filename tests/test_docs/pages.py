"""The documentation's pages and their blocks of code, with the mark that says how each is tried.

A mark is a comment in the line above a block:

    <!-- run: NAME -->     Python that is executed, in the namespace that NAME of `setups.py` makes
    <!-- in: CONFIG -->    settings that are added to a config, which then must build
    <!-- test: FILE -->    another test runs it
    <!-- needs: WHAT -->   it cannot be run here, for it needs this; the site shows the line to its readers
    <!-- installs -->      it changes the environment

A block whose first line is the comment `# configs/….py` is that file, and is read as a config. Every block of
a page that has a test file of its own name, `test_{page}.py`, may be left to that file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / 'docs'
PAGES = sorted({ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *DOCS.glob('*.md')} - {DOCS / 'index.md'})
FENCE = re.compile(
    r'(?:^ *<!-- (?P<mark>[^>]+?) -->\n)?^(?P<indent> *)```(?P<language>\w*)\n(?P<code>.*?)^(?P=indent)```$',
    re.MULTILINE | re.DOTALL,
)
FILE = re.compile(r'# (\S+\.py)\n')
# What is shown, and not run: output, formulas, folders and samples of data.
SHOWN = ('text', 'json')


@dataclass(frozen=True)
class Block:
    """A block of code of a page."""

    page: Path
    line: int
    language: str
    code: str
    kind: str  # of the mark: 'run', 'in', 'test', 'needs', 'installs', 'file', or '' without one
    value: str  # what the mark says

    def __str__(self) -> str:
        return f'{self.page.relative_to(ROOT)}:{self.line}'

    @property
    def has_own_test(self) -> bool:
        """Whether a test file is named after the page."""
        return (Path(__file__).parent / f'test_{self.page.stem.lower()}.py').is_file()


def blocks_of(page: Path) -> list[Block]:
    """Return the blocks of a page that are code."""
    text = page.read_text(encoding='utf-8')
    found = []
    for match in FENCE.finditer(text):
        code = re.sub(rf'^{match["indent"]}', '', match['code'], flags=re.MULTILINE)
        kind, _, value = (match['mark'] or '').partition(': ')
        if not kind and match['language'] == 'python' and (named := FILE.match(code)):
            kind, value = 'file', named[1]
        line = text.count('\n', 0, match.start('language')) + 1
        if match['language'] not in SHOWN:
            found.append(Block(page, line, match['language'], code, kind, value))
    return found


BLOCKS = [block for page in PAGES for block in blocks_of(page)]

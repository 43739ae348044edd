"""Messages name pages of the documentation by their titles, since a wheel has no docs/."""

import ast
import re

from tests.test_docs.pages import DOCS, ROOT

CODE = sorted([*(ROOT / 'mmcggm').rglob('*.py'), *(ROOT / 'tools').rglob('*.py')])
SHOWN_BY_HELP = ('tools/', 'mmcggm/apis/infer.py')  # the text at the top of these


def texts(path):
    """Yield the strings in a file that users may see."""
    tree = ast.parse(path.read_text(encoding='utf-8'))
    hidden = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node):
            is_help = path.relative_to(ROOT).as_posix().startswith(SHOWN_BY_HELP)
            if not (is_help and isinstance(node, ast.Module)):
                hidden.add(node.body[0].value)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in hidden:
            yield node.value


def test_pages_are_named_by_their_titles():
    titles = {
        page.read_text(encoding='utf-8').partition('\n')[0].removeprefix('# ') for page in DOCS.glob('*.md')
    }
    shown = [text for path in CODE for text in texts(path)]
    assert not [text for text in shown if re.search(r'docs/\w+\.md', text)]
    named = {' '.join(t.split()) for text in shown for t in re.findall(r"\bpage '([A-Z][^']+)'", text)}
    assert len(named) >= 5 and named <= titles

"""The code of a tutorial, written into files as its reader would write it."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r'^```python\n# (\S+\.py)\n(.*?)^```$', re.MULTILINE | re.DOTALL)


def write_files(tutorial: Path, folder: Path) -> Path:
    """Make ``folder`` a place like the repository's root, with the tutorial's files in it, and return it."""
    (folder / 'configs').symlink_to(ROOT / 'configs')
    for name, code in BLOCK.findall(tutorial.read_text(encoding='utf-8')):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code, encoding='utf-8')
    return folder

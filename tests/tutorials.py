"""The code of a tutorial, written into files as its reader would write it."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r'^```python\n# (\S+\.py)\n(.*?)^```$', re.MULTILINE | re.DOTALL)


def write_files(tutorial: Path, folder: Path, link: bool = True) -> Path:
    """Make ``folder`` a place like the repository's root, with the tutorial's files in it, and return it.

    Without ``link`` the folder of configs is one of its own, to which the tutorial may add.
    """
    (folder / 'configs').parent.mkdir(parents=True, exist_ok=True)
    if link:
        (folder / 'configs').symlink_to(ROOT / 'configs')
    else:
        (folder / 'configs').mkdir()
        (folder / 'configs' / '_base_').symlink_to(ROOT / 'configs' / '_base_')
    for name, code in BLOCK.findall(tutorial.read_text(encoding='utf-8')):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code, encoding='utf-8')
    return folder

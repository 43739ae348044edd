"""NiiVue, the viewer of medical images in a browser, as a script that a page can hold."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

HOW_TO_GET = (
    "Install it with pip install 'mmcggm[viewer]', or hand over `niivue.umd.js` of the npm package "
    '@niivue/niivue: npm pack @niivue/niivue && tar xf niivue-niivue-*.tgz package/dist/niivue.umd.js.'
)


def niivue_script(umd: str | Path | None = None) -> str:
    """Return JavaScript, for a ``<script type="module">``, that defines ``globalThis.niivue.Niivue``.

    Args:
        umd: Path of ``niivue.umd.js`` of the npm package. Default: as the package ipyniivue carries it.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If the file holds no NiiVue.
    """
    if umd is not None:
        path, script = Path(umd), Path(umd).read_text(encoding='utf-8')
        if 'attachToCanvas' not in script or 'niivue={}' not in script:
            raise ValueError(f'{path} is not `niivue.umd.js`. {HOW_TO_GET}')
        # In a module `this` is undefined; the script then takes `globalThis`.
        return _embeddable(script)
    spec = find_spec('ipyniivue')
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            f"The viewer needs NiiVue, and the package 'ipyniivue' is missing. {HOW_TO_GET}"
        )
    path = Path(spec.origin).parent / 'static' / 'widget.js'
    return _embeddable(_with_niivue_shown(path.read_text(encoding='utf-8'), path))


def _with_niivue_shown(widget: str, path: Path) -> str:
    """Return ipyniivue's module, which keeps NiiVue's class to itself under a short name, with it shown."""
    method = re.search(r'\basync attachToCanvas\(', widget)
    classes = (
        list(re.finditer(r'([\w$]+)\s*=\s*class\b[^{;]{0,40}\{', widget[: method.start()])) if method else []
    )
    if not classes:
        raise ValueError(f'{path} holds no NiiVue that this version of mmcggm can find. {HOW_TO_GET}')
    return f'{widget}\n;globalThis.niivue = {{Niivue: {classes[-1][1]}}};'


def _embeddable(script: str) -> str:
    """Return a script in which nothing ends the element that holds it."""
    return re.sub(r'</(?=script)', r'<\\/', script, flags=re.IGNORECASE).replace('<!--', r'<\!--')

"""Settings of the documentation's site: `make docs` builds it with Sphinx, and warnings are errors."""

import re

import mmcggm

project = 'mmcggm'
author = copyright = 'The mmcggm authors'
version = release = mmcggm.__version__

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon', 'sphinx.ext.viewcode']
myst_heading_anchors = 4

napoleon_use_ivar = True
autodoc_typehints = 'description'
autodoc_typehints_description_target = 'documented'
autodoc_member_order = 'bysource'
# What a class inherits from MMEngine and PyTorch is documented there.
autodoc_default_options = {'members': True, 'show-inheritance': True}

html_theme = 'furo'
html_title = 'mmcggm'
html_copy_source = False

NEEDS = re.compile(r'^( *)<!-- needs: (.+?) -->$', re.MULTILINE)


def show_needs(app, page: str, source: list[str]) -> None:
    """Turn the mark above a block of code, which the tests read (CONTRIBUTING.md), into a sentence."""
    source[0] = NEEDS.sub(r'\1This needs \2.\n', source[0])


def setup(app) -> None:
    app.connect('source-read', show_needs)

"""The configs that the guides show are those of the projects, which the tests train."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ('guide', 'config'),
    [
        ('rgb_depth.md', 'rgb_depth/configs/fcn_cggm.py'),
        ('any_model.md', 'example_project/configs/classifier_cggm.py'),
    ],
)
def test_the_config_shown_is_the_projects(guide, config):
    blocks = (ROOT / 'docs' / guide).read_text(encoding='utf-8').split('```python\n')[1:]
    code = (ROOT / 'projects' / config).read_text(encoding='utf-8')
    shown = [block.partition('```')[0] for block in blocks if '_base_ = [' in block]
    assert len(shown) == 1 and _settings(shown[0]) == _settings(code)


def _settings(code: str) -> str:
    """Return a config from its base on, without the remark beside that."""
    return code[code.index('_base_') :].replace("  # default_scope = 'mmpretrain'", '').strip()

"""Print what mmcggm requires directly, extras included, each at the lowest version that it admits.

    pip install --no-deps --editable . && python .ci/lowest.py > requirements.txt

The list is read from the metadata of the installed package, that is, from pyproject.toml.
"""

import re
import sys
from importlib.metadata import requires

PACKAGE = 'mmcggm'
LOWER_BOUND = re.compile(r'(?P<name>[\w.-]+)(\[[\w,-]+\])?([^>]*,)?>=(?P<version>[\w.]+)')


def lowest(requirements: list[str]) -> list[str]:
    """Return ``name==version`` for each requirement, in their order and each once.

    Raises:
        ValueError: If one has no lower bound, or has several different ones.
    """
    pins: dict[str, str] = {}
    for requirement in requirements:
        condition = requirement.partition(';')[0].replace(' ', '')
        if re.match(rf'{PACKAGE}\[', condition):  # an extra that includes others
            continue
        bound = LOWER_BOUND.match(condition)
        if bound is None:
            raise ValueError(f"'{condition}' in pyproject.toml has no lower bound.")
        if pins.setdefault(bound['name'], bound['version']) != bound['version']:
            raise ValueError(f"'{bound['name']}' has different lower bounds in pyproject.toml.")
    return [f'{name}=={version}' for name, version in pins.items()]


if __name__ == '__main__':
    try:
        print('\n'.join(lowest(requires(PACKAGE) or [])))
    except ValueError as error:
        sys.exit(f'Error: {error}')

"""The flags that launchers share; they load neither torch nor a runner, so that ``--help`` is quick."""

from __future__ import annotations

import argparse
from typing import Any

from mmengine.config import DictAction


class OptionAction(DictAction):
    """MMEngine's ``DictAction``, which takes the spaces out of each value, for values that need theirs.

    Those of a single value stay, since it may be a path. In lists they still count for nothing.

    >>> OptionAction._parse_iterable('data/my store')
    'data/my store'
    >>> OptionAction._parse_iterable('[1, 2]')
    [1, 2]
    """

    @staticmethod
    def _parse_iterable(val: str) -> Any:
        single = val.strip('\'" ')
        if ',' in single or single.startswith(('(', '[')):
            return DictAction._parse_iterable(val)
        return DictAction._parse_int_float_bool(single)


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that training and testing share."""
    parser.add_argument('--work-dir', help='folder for logs, checkpoints and results')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=OptionAction,
        help='override settings of the config: key=value, nested keys with dots; lists as key="[a,b]" or '
        'key=a,b, nested ones as key="[(a,b),(c,d)]"',
    )
    add_trust(parser)
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        help="what started the processes (default: the config's `launcher`, or none)",
    )
    # Some launchers pass the local rank as an argument instead of the environment.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)


def positive(text: str) -> int:
    """Read a flag's number.

    Raises:
        argparse.ArgumentTypeError: If it is not positive.
    """
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f'must be positive, got {value}')
    return value


def add_engine_arguments(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the flags that say how many trainings, which ``what`` names, run at a time, and where."""
    parser.add_argument(
        '--jobs', type=positive, default=1, help=f'{what} at a time, a core each (default: 1)'
    )
    parser.add_argument(
        '--engine',
        choices=['local', 'submitit'],
        default='local',
        help=f'where {what} are done: in processes here, or as jobs of Slurm by submitit (default: local)',
    )
    parser.add_argument(
        '--engine-options',
        nargs='+',
        action=OptionAction,
        default={},
        help='of submitit: key=value, such as timeout_min=600 slurm_partition=gpu cluster=local',
    )


def add_trust(parser: argparse.ArgumentParser) -> None:
    """Add the flag of tools that load checkpoints."""
    parser.add_argument(
        '--trust',
        action='store_true',
        help='load also checkpoints that hold more than data, which may then run any code on this machine',
    )

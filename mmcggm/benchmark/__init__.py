"""Comparisons of methods over settings and seeds."""

from .checks import KEYS, known_settings
from .cost import Cost, measure_costs
from .engines import SubmititEngine
from .grid import Benchmark, Run
from .pool import run_all
from .results import read_result, write_result
from .search import choose
from .summary import Row, summarise
from .table import read_tables, to_markdown, write_tables

__all__ = [
    'KEYS',
    'Benchmark',
    'Cost',
    'Row',
    'Run',
    'SubmititEngine',
    'choose',
    'known_settings',
    'measure_costs',
    'read_result',
    'read_tables',
    'run_all',
    'summarise',
    'to_markdown',
    'write_result',
    'write_tables',
]

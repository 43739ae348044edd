"""Comparisons of methods over settings and seeds."""

from .grid import Benchmark, Run
from .pool import run_all
from .results import read_result, write_result
from .table import Row, summarise, to_markdown, write_tables

__all__ = [
    'Benchmark',
    'Row',
    'Run',
    'read_result',
    'run_all',
    'summarise',
    'to_markdown',
    'write_result',
    'write_tables',
]

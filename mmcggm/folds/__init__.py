"""Cross-validation on brain tumours: a training for each fold of patients, tested on who it never saw."""

from .cross_validation import CrossValidation
from .fold_run import SEGMENTATIONS
from .scores import Row, read_scores, summarise
from .table import to_markdown, write_tables

__all__ = [
    'SEGMENTATIONS',
    'CrossValidation',
    'Row',
    'read_scores',
    'summarise',
    'to_markdown',
    'write_tables',
]

"""What a user calls from Python: balance a model of one's own in any loop."""

from .balance import balance
from .balanced import Balanced
from .forgotten import without_guides

__all__ = ['Balanced', 'balance', 'without_guides']

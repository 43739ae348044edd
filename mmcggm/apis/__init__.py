"""What a user calls from Python: balance a model of one's own in any loop."""

from .balance import Balanced, balance

__all__ = ['Balanced', 'balance']

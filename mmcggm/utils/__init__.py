"""Small helpers that every other part may import."""

from .optional import import_optional

__all__ = ['import_optional']

"""Small helpers that every other part may import."""

from .optional import import_optional, installed_folder

__all__ = ['import_optional', 'installed_folder']

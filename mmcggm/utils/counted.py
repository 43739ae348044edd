"""Counts of things, in the singular and in the plural."""


def counted(count: int, noun: str) -> str:
    """Return such as ``'1 case'`` or ``'2 cases'``."""
    return f'{count} {noun}' if count == 1 else f'{count} {noun}s'

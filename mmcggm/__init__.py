"""mmcggm: balanced multimodal learning for MMEngine.

Importing the package is light: models, data sets and metrics are imported when a registry first
looks one up, so neither mmseg, transformers nor scikit-learn is loaded here.
"""

from typing import Any

from .version import __version__

__all__ = ['__version__', 'balance']


def __getattr__(name: str) -> Any:
    """Import what is heavy when it is first asked for."""
    if name == 'balance':
        from .apis import balance

        return balance
    raise AttributeError(f"module 'mmcggm' has no attribute '{name}'")

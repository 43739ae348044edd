"""mmcggm: balanced multimodal learning for MMEngine.

Importing the package is light: models, data sets and metrics are imported when a registry first
looks one up, so neither mmseg, transformers nor scikit-learn is loaded here.
"""

from .version import __version__

__all__ = ['__version__']

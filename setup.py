"""For tools that ask for this file; the package is defined in pyproject.toml."""

from setuptools import setup

setup()

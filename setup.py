"""The package is defined in pyproject.toml; here, a wheel gets configs and tools, as mim looks for them."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

CARRIED = ('configs', 'tools', 'model-index.yml')


class BuildWithMim(build_py):
    """Builds the package with ``CARRIED`` in ``mmcggm/.mim``; an editable one finds them in the clone."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        mim = Path(self.build_lib, 'mmcggm', '.mim')
        shutil.rmtree(mim, ignore_errors=True)  # of an earlier build, with files that may be gone
        mim.mkdir(parents=True)
        for name in CARRIED:
            if Path(name).is_dir():
                shutil.copytree(name, mim / name, ignore=shutil.ignore_patterns('__pycache__'))
            else:
                shutil.copy(name, mim)


setup(cmdclass=dict(build_py=BuildWithMim))

"""A wheel carries configs, tools and the index of models; each model in the index is there."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
SOURCES = (
    'mmcggm',
    'configs',
    'tools',
    'setup.py',
    'pyproject.toml',
    'README.md',
    'LICENSE',
    'model-index.yml',
)


@pytest.fixture(scope='module')
def installed(tmp_path_factory) -> Path:
    """The content of a wheel of the files as they are, as pip unpacks it."""
    clone, site = tmp_path_factory.mktemp('clone'), tmp_path_factory.mktemp('site')
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, clone / name)
        else:
            shutil.copy(ROOT / name, clone)
    build = "from setuptools.build_meta import build_wheel; build_wheel('dist')"
    subprocess.run([sys.executable, '-c', build], cwd=clone, check=True, capture_output=True)
    (wheel,) = (clone / 'dist').glob('*.whl')
    zipfile.ZipFile(wheel).extractall(site)
    return site


def files(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob('*')
        if path.is_file() and '__pycache__' not in path.parts
    }


@pytest.mark.parametrize('name', ['configs', 'tools'])
def test_it_carries_all_files(name, installed):
    assert files(installed / 'mmcggm' / '.mim' / name) == files(ROOT / name)
    assert not list((installed / 'mmcggm').rglob('__pycache__'))


def test_it_has_the_command_and_the_mark_of_types(installed):
    (entry_points,) = installed.glob('*.dist-info/entry_points.txt')
    assert 'mmcggm = mmcggm.__main__:main' in entry_points.read_text()
    assert (installed / 'mmcggm' / 'py.typed').exists()


def test_it_works_outside_a_clone(installed, tmp_path):
    """A config of the wheel's is found by its name, and inherited from as MMEngine has it."""
    (tmp_path / 'mine.py').write_text("_base_ = ['mmcggm::cggm/watch.py']\ntrain_cfg = dict(max_epochs=2)\n")
    script = (
        'from mmcggm.engine.settings import read_config\n'
        "mine, theirs = read_config('mine.py'), read_config('cggm/watch.py')\n"
        "assert mine.train_cfg.pop('max_epochs') == 2 and theirs.train_cfg.pop('max_epochs') == 30\n"
        'assert mine.to_dict() == theirs.to_dict()\n'
        'print(theirs.filename)\n'
    )
    environment = {**os.environ, 'PYTHONPATH': str(installed)}
    run = dict(cwd=tmp_path, env=environment, capture_output=True, text=True)
    found = subprocess.run([sys.executable, '-c', script], **run)
    assert found.stdout.splitlines()[-1:] == [f'{installed}/mmcggm/.mim/configs/cggm/watch.py'], found.stderr
    found = subprocess.run([sys.executable, '-m', 'mmcggm', 'benchmark', '--help'], **run)
    assert found.stdout.startswith('usage: mmcggm benchmark'), found.stderr


def test_the_index_has_each_config_once():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    found, names = [], []
    for metafile in index['Import']:
        content = yaml.safe_load((ROOT / metafile).read_text())
        collections = {collection['Name'] for collection in content['Collections']}
        for model in content['Models']:
            assert model['In Collection'] in collections and model['Metadata']['Training Data']
            assert Path(model['Config']).parent == Path(metafile).parent
            found.append(model['Config'])
            names.append(model['Name'])
    configs = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / 'configs').glob('*/*.py')
        if path.parent.name not in ('_base_', 'benchmark')
    }
    assert sorted(found) == sorted(configs) and len(set(names)) == len(names)

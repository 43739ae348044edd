"""The rooms of the package: imports run downwards only, and no two files import each other."""

from graphlib import TopologicalSorter

import grimp
import pytest

# From the top down; a package may import those that stand below it.
LAYERS = (
    '__main__',
    'apis',
    'visualization',
    'folds',
    'benchmark',
    'engine',
    'guided',
    'models',
    'evaluation',
    'datasets',
    'balancers',
    'structures',
    'registry',
    'utils',
    'version',
)


@pytest.fixture(scope='module')
def graph() -> grimp.ImportGraph:
    return grimp.build_graph('mmcggm', cache_dir=None)


def test_every_package_has_its_place(graph):
    rooms = {module.split('.')[1] for module in graph.modules if '.' in module}
    assert rooms == set(LAYERS)


def test_imports_run_downwards(graph):
    illegal = graph.find_illegal_dependencies_for_layers(layers=LAYERS, containers={'mmcggm'})
    assert not [(found.importer, found.imported) for found in illegal]


def test_no_two_files_import_each_other(graph):
    imports = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(list(TopologicalSorter(imports).static_order())) == len(graph.modules)


def test_balancers_know_nothing_of_the_framework(graph):
    external = grimp.build_graph('mmcggm', include_external_packages=True, cache_dir=None)
    for module in external.find_descendants('mmcggm.balancers'):
        assert 'mmengine' not in external.find_modules_directly_imported_by(module), module

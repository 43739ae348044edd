"""A benchmark of two methods."""

import pytest

from mmcggm.benchmark import Benchmark
from tests.test_benchmark.finished import SCORES


@pytest.fixture
def benchmark_of_two(tmp_path):
    """Two methods with three seeds."""
    (tmp_path / 'method.py').write_text('work_dir = None\n')
    methods = {name: dict(config='method.py', overrides={'experiment_name': name}) for name in SCORES}
    cfg = dict(settings={'clean': {}}, seeds=[0, 1, 2], baseline='plain', checkpoint='last')
    return Benchmark(dict(cfg, methods=methods, metrics=['accuracy', 'guide/audio']), root=tmp_path)

"""tools/benchmark.py end to end, on synthetic recordings: run, resume, repeat only what changed, report."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('sklearn')

from mmcggm.datasets.av_digits.converter import convert_folder
from tests.formats.av_digits import write_synthetic_recordings

ROOT = Path(__file__).parents[2]
CONFIG = """
small = {{
    'train_cfg.max_epochs': 2,
    'model.model.backbone.encoders.audio.channels': (4, 8),
    'model.model.backbone.encoders.image.channels': (4, 8),
    'model.model.backbone.fusion.in_channels': [8, 8],
    **{{f'{{split}}_dataloader.dataset.data_root': {data!r} for split in ('train', 'val', 'test')}},
}}
methods = {{
    'joint': dict(config='configs/baseline/av_digits.py', overrides=small),
    'CGGM': dict(config='configs/cggm/av_digits.py', overrides={{**small, {change}}}),
}}
settings = {{'noise 0.5': {{'train_dataloader.dataset.image_noise': 0.5}}}}
seeds = [7]
baseline = 'joint'
metrics = ['accuracy', 'guide/audio', 'guide/image']
checkpoint = 'best'
"""


@pytest.fixture
def call(tmp_path, monkeypatch, capfd):
    """Return a function that runs the tool with a change of CGGM and returns exit code and output."""
    data = tmp_path / 'data'
    convert_folder(write_synthetic_recordings(tmp_path / 'recordings', speakers=['theo']), data)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('PYTHONPATH', str(ROOT))
    config = tmp_path / 'small.py'

    def run(change: str = '', *flags: str) -> tuple[int, str]:
        config.write_text(CONFIG.format(data=str(data), change=change))
        arguments = ['benchmark.py', str(config), '--jobs', '2', '--work-dir', str(tmp_path / 'work'), *flags]
        monkeypatch.setattr(sys, 'argv', arguments)
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(ROOT / 'tools' / 'benchmark.py'), run_name='__main__')
        return end.value.code, ''.join(capfd.readouterr())

    return run


def test_jobs_of_submitit_come_to_the_same(call, tmp_path):
    pytest.importorskip('submitit')
    assert call('', '--no-costs')[0] == 0
    table = (tmp_path / 'work' / 'table.csv').read_text()
    results = {path: json.loads(path.read_text()) for path in (tmp_path / 'work').rglob('result.json')}
    for path in results:
        path.unlink()
    options = ('--engine-options', 'cluster=local', 'timeout_min=9')
    code, output = call('', '--no-costs', '--engine', 'submitit', *options)
    assert code == 0, output
    assert len(results) == 2 and len(list((tmp_path / 'work' / 'jobs').glob('[0-9]*'))) == 2
    for path, result in results.items():
        assert json.loads(path.read_text())['metrics'] == result['metrics']
    assert (tmp_path / 'work' / 'table.csv').read_text() == table


def test_runs_resumes_and_repeats_only_what_changed(call, tmp_path):
    runs = tmp_path / 'work' / 'noise_0.5'
    joint, cggm = (runs / method / 'seed_7' / 'result.json' for method in ('joint', 'CGGM'))
    joint.parent.mkdir(parents=True)
    (joint.parent / 'epoch_1.pth').write_text('of a run that was killed')

    code, output = call("'optim_wrapper.balancer.rho': -1")
    assert code == 1 and 'FAILED noise 0.5, CGGM, seed 7' in output and 'rho > 0' in output
    assert '1 of 2 runs failed' in output and joint.exists() and not cggm.exists()
    assert '| noise 0.5 | joint |' in output and '| CGGM |' not in output
    first = joint.stat().st_mtime_ns
    assert (joint.parent / 'epoch_2.pth').exists() and not (joint.parent / 'epoch_1.pth').exists()

    code, output = call()
    assert code == 0 and cggm.exists() and joint.stat().st_mtime_ns == first
    assert output.count('| noise 0.5 |') == 2
    result = json.loads(joint.read_text())
    assert {'accuracy', 'guide/audio', 'guide/image'} <= set(result['metrics']) and result[
        'train_seconds'
    ] > 0

    second = cggm.stat().st_mtime_ns
    assert call()[0] == 0 and (joint.stat().st_mtime_ns, cggm.stat().st_mtime_ns) == (first, second)
    costs = {entry['method']: entry for entry in json.loads((tmp_path / 'work' / 'costs.json').read_text())}
    assert {entry['steps'] for entry in costs.values()} == {1.0} and len(costs) == 2
    assert 0.9 < costs['CGGM']['memory'] < 1.2 and costs['CGGM']['step_time'] > 0
    assert (tmp_path / 'work' / 'costs.png').stat().st_size > 10_000 and 'step time | memory' in output
    for suffix in ('md', 'csv', 'json'):
        assert (tmp_path / 'work' / f'table.{suffix}').exists()


def test_absent_config_is_named():
    tool = [sys.executable, 'tools/benchmark.py', 'configs/benchmark/nowhere.py']
    result = subprocess.run(tool, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1 and 'nowhere.py' in result.stderr and 'Traceback' not in result.stderr


def test_a_process_ends_with_the_one_that_started_it(tmp_path):
    code = (
        'import multiprocessing, os, time\n'
        'from mmcggm.utils.processes import end_with_parent\n'
        'def child():\n'
        '    end_with_parent()\n'
        '    print("started", flush=True)\n'
        '    time.sleep(60)\n'
        '    print("survived", flush=True)\n'
        'if __name__ == "__main__":\n'
        '    multiprocessing.get_context("spawn").Process(target=child).start()\n'
    )
    script = tmp_path / 'script.py'
    script.write_text(code)
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout.readline() == 'started\n'
        parent.kill()
        assert parent.stdout.read() == ''  # ends when the child does, which has the pipe too

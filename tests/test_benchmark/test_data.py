"""Results belong to data: what counts as another content, and what doesn't."""

import json
import os

import pytest
from mmengine.config import Config

from mmcggm.benchmark import Benchmark, run_all
from mmcggm.benchmark import data as benchmark_data
from mmcggm.benchmark.data import DataFiles, changed_data, write_data

METHOD = """
randomness = dict(seed=0)
train_dataloader = dict(dataset=dict(data_root={root!r}, ann_file='labels.csv'))
"""


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder of data, 'data/set', below the current one."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / 'data' / 'set'
    (folder / 'deep').mkdir(parents=True)
    (folder / 'labels.csv').write_text('a,1\n')
    (folder / 'deep' / 'a.npz').write_bytes(bytes(100))
    return folder


def cfg(root='data/set', **more) -> Config:
    loader = dict(dataset=dict(data_root=root, ann_file='labels.csv', split='train'))
    return Config(dict(train_dataloader=loader, work_dir='data', **more))


def in_place(root):
    status = (root / 'deep' / 'a.npz').stat()
    (root / 'deep' / 'a.npz').write_bytes(b'\1' * 100)
    os.utime(root / 'deep' / 'a.npz', ns=(status.st_atime_ns, status.st_mtime_ns))


CHANGES = dict(
    content=lambda root: (root / 'labels.csv').write_text('a,2\n'),
    size_and_time_kept=in_place,
    more=lambda root: (root / 'b').write_text('new'),
    fewer=lambda root: (root / 'labels.csv').unlink(),
    moved=lambda root: (root / 'labels.csv').rename(root / 'deep' / 'labels.csv'),
)


@pytest.mark.parametrize('change', CHANGES)
def test_other_content_is_noticed(root, change):
    memory = root.parents[1] / 'work' / 'data.json'
    before = DataFiles(memory).digests(cfg())
    CHANGES[change](root)
    after = DataFiles(memory).digests(cfg())
    assert next(iter(before)) == 'data/set' and after['data/set'] != before['data/set']


def touch(root):
    os.utime(root / 'labels.csv', (1, 1))


def write_anew(root):
    (root / 'labels.csv').unlink()
    (root / 'labels.csv').write_text('a,1\n')


def link(root):
    root.rename(root.parent / 'elsewhere')
    root.symlink_to(root.parent / 'elsewhere')


def hidden(root):
    (root / '.tmp-1-a').write_text('half')


@pytest.mark.parametrize('change', [touch, write_anew, link, hidden])
def test_the_same_content_is_the_same(root, change):
    memory = root.parents[1] / 'work' / 'data.json'
    before = DataFiles(memory).digests(cfg())
    change(root)
    assert DataFiles(memory).digests(cfg()) == before


def test_content_is_read_once(root, monkeypatch):
    memory, read = root.parents[1] / 'work' / 'data.json', []
    original = benchmark_data.hash_file
    monkeypatch.setattr(benchmark_data, 'hash_file', lambda path: read.append(path.name) or original(path))
    DataFiles(memory).digests(cfg())
    assert sorted(read) == ['a.npz', 'labels.csv']
    DataFiles(memory).digests(cfg())
    assert len(read) == 2
    touch(root)
    DataFiles(memory).digests(cfg())
    assert read[2:] == ['labels.csv']
    memory.write_text('{"broken')
    DataFiles(memory).digests(cfg())
    assert len(read) == 5


def test_links_that_lead_back_end(root):
    (root / 'deep' / 'up').symlink_to(root)
    assert DataFiles().digests(cfg())


def test_the_benchmarks_own_folder_is_no_data(root):
    memory = root / 'work' / 'data.json'
    before = DataFiles(memory).digests(cfg())
    assert memory.exists() and DataFiles(memory).digests(cfg()) == before


def test_what_else_a_config_names(root):
    (root.parent / 'bert').mkdir()
    (root.parent / 'bert' / 'model.safetensors').write_bytes(b'weights')
    (root.parent / 'start.pth').write_bytes(b'weights')
    more = dict(model=dict(encoder=dict(path='data/bert')), load_from='data/start.pth')
    found = DataFiles().digests(cfg(**more, output=dict(file='data/start.pth'), other='data'))
    assert list(found) == ['data/bert', 'data/set', 'data/set/labels.csv', 'data/start.pth']
    assert list(DataFiles().digests(cfg('nowhere'))) == []


def test_what_changed_is_named(root):
    files = DataFiles()
    write_data(root.parent, files.digests(cfg()))
    assert changed_data(root.parent, files.digests(cfg())) == []
    (root / 'deep' / 'a.npz').write_bytes(b'other')
    assert changed_data(root.parent, files.digests(cfg(), again=True)) == ['data/set']


@pytest.fixture
def benchmark(root, tmp_path):
    (tmp_path / 'method.py').write_text(METHOD.format(root=str(root)))
    asked = dict(settings={'clean': {}}, seeds=[0], baseline='a', checkpoint='last', metrics=['accuracy'])
    return lambda: Benchmark(dict(asked, methods={'a': dict(config='method.py')}), root=tmp_path)


def test_a_run_belongs_to_its_data(benchmark, root):
    before = benchmark().finals()[0].fingerprint
    touch(root)
    assert benchmark().finals()[0].fingerprint == before
    CHANGES['content'](root)
    assert benchmark().finals()[0].fingerprint != before


def test_data_that_change_while_a_run_lasts_fail_it(benchmark, root, tmp_path, monkeypatch, capsys):
    found = benchmark()
    run = found.finals()[0]

    def train(run, work_dir, *_):
        folder = work_dir / run.folder
        folder.mkdir(parents=True)
        (folder / 'result.json').write_text(json.dumps(dict(fingerprint=run.fingerprint, metrics={})))
        write_data(folder, run.data)
        CHANGES['content'](root)

    monkeypatch.setattr('mmcggm.benchmark.pool._run', train)
    failed = run_all([run], tmp_path / 'work', files=found.files)
    assert failed == {run: f'its data changed while it ran: {root}, {root}/labels.csv'}
    assert 'FAILED clean, a, seed 0: its data changed' in capsys.readouterr().err
    assert not (tmp_path / 'work' / run.folder / 'result.json').exists()

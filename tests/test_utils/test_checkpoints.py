"""Checkpoints are read as data: what is, comes back; the rest is refused by name, and nothing of it runs."""

import random
import shutil
import subprocess
import sys
import zipfile
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer
from mmengine.optim.scheduler import OneCycleLR
from mmengine.runner import CheckpointLoader
from safetensors.torch import save_file
from torch import nn

import mmcggm.utils.checkpoints.schemes as schemes
from mmcggm.utils.checkpoints import CheckpointError, read_checkpoint
from tests.hostile import FORMS


@pytest.fixture
def content() -> dict:
    """What MMEngine saves: weights, and states that hold more than tensors."""
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    schedule = OneCycleLR(optimizer, eta_max=0.1, total_steps=10, anneal_strategy='linear')
    history = HistoryBuffer([1.0, 3.0], [1, 1])
    return dict(
        meta=dict(epoch=1, iter=4, cfg='import os', dataset_meta=dict(classes=('a', 'b'), palette=[[1, 2]])),
        state_dict=model.state_dict(),
        optimizer=optimizer.state_dict(),
        param_schedulers=[schedule.state_dict()],
        message_hub=dict(
            log_scalars=dict(loss=history, empty=HistoryBuffer()),
            runtime_info=dict(best_score=np.float64(0.5), last_ckpt='x'),
            resumed_keys=dict(loss=True),
        ),
    )


@pytest.fixture
def file(content, tmp_path):
    torch.save(content, tmp_path / 'epoch_1.pth')
    return tmp_path / 'epoch_1.pth'


@pytest.mark.parametrize('as_zip', [True, False])
def test_what_mmengine_saves_comes_back(content, tmp_path, as_zip):
    torch.save(content, tmp_path / 'a.pth', _use_new_zipfile_serialization=as_zip)
    read = read_checkpoint(tmp_path / 'a.pth')
    scalars = read['message_hub']['log_scalars']
    assert scalars['loss'].mean() == 2 and scalars['loss'].max_length == 1000000
    scalars['empty'].update(1.0)
    assert read['message_hub']['runtime_info']['best_score'] == 0.5
    assert read['meta'] == content['meta'] and read['optimizer'] == content['optimizer']
    schedule = read['param_schedulers'][0]
    assert schedule['anneal_func'] is content['param_schedulers'][0]['anneal_func']
    for name, tensor in content['state_dict'].items():
        assert torch.equal(read['state_dict'][name], tensor)
    assert read['state_dict']._metadata == content['state_dict']._metadata  # versions of the modules
    torch.save(read, tmp_path / 'again.pth')
    assert read_checkpoint(tmp_path / 'again.pth')['meta'] == content['meta']


@pytest.mark.parametrize(
    'value',
    [
        np.arange(6, dtype='>i4').reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.zeros((0, 3), np.float32),
        np.array(['a', 'bcd']),
        np.array([b'a', b'bcd']),
        np.array([True, False]),
        np.array([1 + 2j]),
        np.float32(0.1),
        np.bool_(True),
        np.str_('abc'),
    ],
)
def test_numpy_data_comes_back(tmp_path, value):
    torch.save(dict(value=value), tmp_path / 'a.pth')
    read = read_checkpoint(tmp_path / 'a.pth')['value']
    assert type(read) is type(value) and read.dtype == value.dtype and np.array_equal(read, value)


def test_the_arguments_of_a_published_training_come_back(tmp_path):
    config = ConfigDict(a=dict(b=[np.arange(2)]))
    torch.save(dict(args=Namespace(lr=0.1), cfg=config, state=random.getstate()), tmp_path / 'a.pth')
    read = read_checkpoint(tmp_path / 'a.pth')
    assert read['args'] == Namespace(lr=0.1) and read['state'] == random.getstate()
    assert list(read['cfg']['a']['b'][0]) == [0, 1]


def test_safetensors(tmp_path):
    save_file(dict(weight=torch.ones(2)), tmp_path / 'a.safetensors')
    assert torch.equal(read_checkpoint(tmp_path / 'a.safetensors')['weight'], torch.ones(2))
    (tmp_path / 'b.safetensors').write_bytes((tmp_path / 'a.safetensors').read_bytes()[:-3])
    with pytest.raises(CheckpointError, match=r'b\.safetensors'):
        read_checkpoint(tmp_path / 'b.safetensors')


@pytest.mark.parametrize('form', FORMS)
def test_code_does_not_run(content, tmp_path, form):
    path, marker = tmp_path / 'a.pth', tmp_path / 'ran'
    FORMS[form](content, marker, path)
    statistics = dict(HistoryBuffer._statistics_methods)
    for read in (read_checkpoint, CheckpointLoader.load_checkpoint):
        with pytest.raises(CheckpointError, match=r'a\.pth.*asks for.*--trust') as refusal:
            read(str(path))
    asked = {'chained': 'getattr', 'tarred': 'tar archive'}.get(form, 'exec')
    assert asked in str(refusal.value)
    assert not marker.exists() and HistoryBuffer._statistics_methods == statistics


def test_what_the_process_allows_of_getattr_does_not_count(content, tmp_path):
    FORMS['chained'](content, tmp_path / 'ran', tmp_path / 'a.pth')
    with torch.serialization.safe_globals([getattr, HistoryBuffer, np.ndarray]):
        before = set(torch.serialization.get_safe_globals())
        with pytest.raises(CheckpointError, match='getattr'):
            read_checkpoint(tmp_path / 'a.pth')
        assert set(torch.serialization.get_safe_globals()) == before


class OnlyData:
    """A class that a training's states hold."""


def test_a_class_that_the_process_allows_by_name_is_read(tmp_path):
    torch.save(dict(value=OnlyData()), tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='OnlyData'):
        read_checkpoint(tmp_path / 'a.pth')
    with torch.serialization.safe_globals([OnlyData]):
        assert isinstance(read_checkpoint(tmp_path / 'a.pth')['value'], OnlyData)


def test_who_trusts_a_file_says_so(content, tmp_path, monkeypatch):
    FORMS['reduced'](content, tmp_path / 'ran', tmp_path / 'a.pth')
    assert 'state_dict' in read_checkpoint(tmp_path / 'a.pth', trust=True)
    assert (tmp_path / 'ran').exists()
    monkeypatch.setattr(schemes, '_trusted', False)  # so that it is as before in the end
    schemes.trust_checkpoints()
    assert 'state_dict' in CheckpointLoader.load_checkpoint(str(tmp_path / 'a.pth'))


def test_the_text_that_mmengine_would_run_is_left_out(content, tmp_path):
    content['meta']['config'] = 'raise SystemExit'
    torch.save(content, tmp_path / 'a.pth')
    assert 'config' not in read_checkpoint(tmp_path / 'a.pth')['meta']


def test_a_forged_array_is_refused(file, tmp_path):
    """Its shape asks for more than its bytes hold, which numpy would read beyond them."""
    with zipfile.ZipFile(file) as archive, zipfile.ZipFile(tmp_path / 'b.pth', 'w') as forged:
        for entry in archive.namelist():
            data = archive.read(entry)
            # The shape of the history: BININT1 2, TUPLE1.
            forged.writestr(entry, data.replace(b'K\x02\x85', b'K\xc8\x85'))
    with pytest.raises(CheckpointError, match='200,'):
        read_checkpoint(tmp_path / 'b.pth')


@pytest.mark.parametrize('value', [np.array([1, None], object), np.array([(1, 2.0)], 'i4,f4')])
def test_arrays_of_anything_else_are_refused(tmp_path, value):
    torch.save(dict(value=value), tmp_path / 'a.pth')
    with pytest.raises(CheckpointError, match='numpy data of the type'):
        read_checkpoint(tmp_path / 'a.pth')


@pytest.mark.parametrize(
    ('data', 'message'),
    [
        (b'', 'is empty'),
        (b'\n <!DOCTYPE html><html>', 'is a web page'),
        (b'version https://git-lfs.github.com/spec/v1\noid', 'git lfs pull'),
        (b'some text', 'is not a whole checkpoint'),
        (b'\x80', 'is not a whole checkpoint'),
        (b'PK\x03\x04', 'is not a whole checkpoint'),
    ],
)
def test_other_files_are_named(tmp_path, data, message):
    path = tmp_path / 'a.pth'
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=rf'a\.pth.*{message}'):
        read_checkpoint(path)


def test_paths_without_a_file_are_named(tmp_path):
    with pytest.raises(CheckpointError, match='is a folder'):
        read_checkpoint(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no checkpoint '.*none\.pth'"):
        read_checkpoint(tmp_path / 'none.pth')


def test_programs_and_other_objects_are_refused(tmp_path):
    torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)).save(str(tmp_path / 'program.pth'))
    torch.save(nn.Linear(2, 2), tmp_path / 'model.pth')
    torch.save([torch.ones(2)], tmp_path / 'list.pth')
    for name, message in (('program', 'TorchScript'), ('model', r'linear\.Linear'), ('list', 'holds a list')):
        with pytest.raises(CheckpointError, match=rf'{name}\.pth.*{message}'):
            read_checkpoint(tmp_path / f'{name}.pth')


def test_a_compressed_archive_is_not_unpacked(file, tmp_path):
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(tmp_path / 'a.pth', 'w', zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(CheckpointError, match='compressed'):
        read_checkpoint(tmp_path / 'a.pth')


def outcome(path: Path) -> dict | str:
    """Return what is read from a file, or why it is refused."""
    try:
        return read_checkpoint(path)
    except CheckpointError as error:
        return str(error)


def test_no_flipped_bit_and_no_cut_changes_weights_unseen(content, file, tmp_path):
    """Of 200 files with a bit flipped and 50 cut off, each is refused by name or has the data that was."""
    whole, draw = file.read_bytes(), random.Random(0)
    damaged, refused = tmp_path / 'damaged.pth', 0
    for number in range(250):
        data = bytearray(whole)
        place = draw.randrange(len(data))
        if number < 200:
            data[place] ^= 1 << draw.randrange(8)
        damaged.write_bytes(data if number < 200 else data[:place])
        read = outcome(damaged)
        if isinstance(read, str):
            assert 'damaged.pth' in read
            refused += 1
        else:
            assert number < 200 and read['optimizer'] == content['optimizer']
            assert all(torch.equal(read['state_dict'][n], t) for n, t in content['state_dict'].items())
    assert refused > 100


def test_old_files_without_checksums_raise_nothing_else(content, tmp_path):
    path = tmp_path / 'old.pth'
    torch.save(content, path, _use_new_zipfile_serialization=False)
    whole, draw = path.read_bytes(), random.Random(0)
    for _ in range(200):
        data = bytearray(whole)
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        path.write_bytes(data)
        assert isinstance(read := outcome(path), dict) or 'old.pth' in read


def test_files_saved_without_checksums_are_read(content, tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(content, tmp_path / 'a.pth')
    finally:
        torch.serialization.set_crc32_options(True)
    assert read_checkpoint(tmp_path / 'a.pth')['meta'] == content['meta']


def test_each_of_mmengines_ways_to_load_is_replaced():
    ours = {loader for loader in vars(schemes).values() if callable(loader)}
    assert set(CheckpointLoader._schemes.values()) <= ours


def test_a_download_is_read_as_data(content, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    FORMS['reduced'](content, tmp_path / 'ran', tmp_path / 'there.pth')

    def download(url: str, target: str) -> None:
        shutil.copy(tmp_path / 'there.pth', target)

    monkeypatch.setattr(torch.hub, 'download_url_to_file', download)
    for name in ('https://example.org/a.pth?x=1', 'torchvision://resnet18', 'open-mmlab://vgg16_caffe'):
        with pytest.raises(CheckpointError, match='exec'):
            CheckpointLoader.load_checkpoint(name)
    for name in ('s3://bucket/a.pth', 'pavi://a', 'mmcls://a', 'x:petrel://a'):
        with pytest.raises(CheckpointError, match='Copy it'):
            CheckpointLoader.load_checkpoint(name)
    assert not (tmp_path / 'ran').exists()


def test_to_import_guided_models_is_enough(content, tmp_path):
    FORMS['legacy'](content, tmp_path / 'ran', tmp_path / 'a.pth')
    code = f"""
import mmcggm.guided
from mmengine.runner import load_checkpoint
from torch import nn
load_checkpoint(nn.Linear(1, 1), {str(tmp_path / 'a.pth')!r})
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode != 0 and 'asks for' in done.stderr and not (tmp_path / 'ran').exists()


def test_a_checkpoint_that_is_not_there_is_looked_for_in_work_dirs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    there = Path('work_dirs/cggm/watch/best_accuracy_epoch_7.pth')
    there.parent.mkdir(parents=True)
    there.touch()
    with pytest.raises(FileNotFoundError, match=f"no checkpoint '.*'. Did you mean '{there}'"):
        read_checkpoint('work_dirs/watch/best_accuracy_epoch_*.pth')

"""The safe unpickler reads data as numpy does, and runs nothing."""

import os
import pickle
import pickletools
import struct
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mmcggm.datasets.readers.safe_pickle import UnsafePickleError, load_pickle

PROTOCOLS = range(6)
DATA = dict(
    floats=np.arange(6.0).reshape(2, 3),
    fortran=np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    big_endian=np.arange(3, dtype='>i4'),
    text=np.array(['a', 'bcd']),
    raw=np.array([b'a', b'bcd']),
    objects=np.array(['a', [1, 2], None], dtype=object),
    empty=np.zeros((0, 3)),
    scalars=[np.float32(1.5), np.int64(-2), np.bool_(True), np.str_('x')],
    plain=[1, 2.5, None, True, 'é', b'', b'\xff', (1,), {2, 3}, frozenset([4]), bytearray(b'x'), 1j],
    ordered=OrderedDict(a=1, b=2),
)


def dumped(path: Path, data: object, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(data, protocol=protocol))
    return path


def same(a: object, b: object) -> bool:
    if isinstance(a, np.ndarray):
        return type(b) is np.ndarray and a.shape == b.shape and a.tolist() == b.tolist()
    if isinstance(a, dict):
        return type(a) is type(b) and list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    return type(a) is type(b) and a == b


@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_every_protocol_reads_as_pickle_does(tmp_path, protocol):
    assert same(load_pickle(dumped(tmp_path / 'data.pkl', DATA, protocol)), DATA)


@pytest.mark.parametrize('protocol', PROTOCOLS)
@pytest.mark.parametrize('core', ['numpy.core', 'numpy._core'])
def test_both_module_names_of_numpy(tmp_path, core, protocol):
    content = pickle.dumps([np.arange(3.0), np.float64(2)], protocol=protocol)
    installed = b'numpy._core' if b'numpy._core' in content else b'numpy.core'
    if protocol >= 4:  # names carry their length, and frames theirs
        names = {op[1] for op in pickletools.genops(content) if isinstance(op[1], str) and 'core' in op[1]}
        for name in names:
            new = name.replace(installed.decode(), core).encode()
            content = content.replace(bytes([0x8C, len(name)]) + name.encode(), bytes([0x8C, len(new)]) + new)
        content = content[:2] + content[11:] if content[2:3] == pickle.FRAME else content
    else:
        content = content.replace(installed + b'.', core.encode() + b'.')
    path = tmp_path / 'data.pkl'
    path.write_bytes(content)
    array, scalar = load_pickle(path)
    assert array.tolist() == [0, 1, 2] and scalar == 2


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    array=hnp.arrays(
        st.one_of(hnp.floating_dtypes(), hnp.integer_dtypes(), hnp.unicode_string_dtypes(max_len=4)),
        hnp.array_shapes(min_side=0, max_side=4),
    ),
    protocol=st.sampled_from(PROTOCOLS),
)
def test_any_array(tmp_path, array, protocol):
    read = load_pickle(dumped(tmp_path / 'data.pkl', array, protocol))
    assert read.dtype.newbyteorder('=') == array.dtype.newbyteorder('=')
    np.testing.assert_array_equal(read, array)


def test_what_python_2_wrote(tmp_path):
    path = tmp_path / 'data.pkl'
    path.write_bytes(
        b"(dp0\nS'x'\np1\ncnumpy.core.multiarray\n_reconstruct\np2\n(cnumpy\nndarray\np3\n(I0\ntp4\nS'b'\np5\n"
        b"tp6\nRp7\n(I1\n(I2\ntp8\ncnumpy\ndtype\np9\n(S'u1'\np10\nI0\nI1\ntp11\nRp12\n(I3\nS'|'\np13\nNNNI-1\n"
        b"I-1\nI0\ntp14\nbI00\nS'\\x01\\xff'\np15\ntp16\nbs."
    )
    assert load_pickle(path)['x'].tolist() == [1, 255]


def test_reading_leaves_numpys_own_types_alone(tmp_path):
    path = dumped(tmp_path / 'data.pkl', np.arange(3, dtype='>f8'))
    load_pickle(path)
    assert np.dtype('f8').isnative and np.zeros(1).dtype.isnative


class Command:
    """Runs a shell command when unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


class Evaluated:
    def __reduce__(self):
        return eval, ('1 + 1',)


class Attribute:
    """Looks a function up by attribute, past the module's name."""

    def __reduce__(self):
        return getattr, (np.ndarray, 'tofile')


@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_a_command_is_refused_and_did_not_run(tmp_path, protocol):
    ran = tmp_path / 'ran'
    data = dict(train=dict(text=np.zeros(3), labels=[Command(f'touch {ran}')]))
    path = dumped(tmp_path / 'data.pkl', data, protocol)
    with pytest.raises(UnsafePickleError) as error:
        load_pickle(path)
    assert not ran.exists()
    message = str(error.value)
    assert str(path) in message and f"'{os.system.__module__}.system'" in message
    assert 'save it anew as numpy arrays' in message
    pickle.loads(path.read_bytes())
    assert ran.exists(), 'the payload must be one that runs'


@pytest.mark.parametrize(
    ('data', 'name'),
    [
        (Evaluated(), r'builtins\.eval'),
        (Attribute(), r'builtins\.getattr'),
        (Path('x'), r'pathlib.*Path'),
        (np.random.default_rng(0), r'numpy\.random'),
        (np.load, r'numpy\.load'),
        (print, r'builtins\.print'),
        (np.zeros(2, dtype=[('a', 'f8'), ('b', 'O')]), 'state'),
        (np.array('2020-01-01', dtype='M8[D]'), 'state'),
    ],
)
def test_anything_else_is_refused_by_name(tmp_path, data, name):
    with pytest.raises(UnsafePickleError, match=name):
        load_pickle(dumped(tmp_path / 'data.pkl', data))


def opcodes(*parts: bytes) -> bytes:
    return b'\x80\x04' + b''.join(parts) + b'.'


DTYPE = b'cnumpy\ndtype\n'
FORGED = {
    # An object type whose flags say that it holds none: numpy would take raw bytes for pointers.
    'flags': opcodes(DTYPE, b"(S'O8'\ntR(K\x03S'|'\nNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"),
    'fields': opcodes(DTYPE, b"(S'f8,O'\ntR"),
    'subarray': opcodes(DTYPE, b"(S'(2,)f8'\ntR"),
    'encoding': opcodes(b"c_codecs\nencode\n(S'x'\nS'zip'\ntR"),
    'state of a function': opcodes(b'c_codecs\nencode\n}S\'__doc__\'\nS\'x\'\nsb'),
    'state of a class': opcodes(b'c__builtin__\nset\n}S\'x\'\nI1\nsb'),
    'extension': opcodes(b'\x82\x01'),
    'module by attribute': opcodes(b'\x8c\x05numpy\x8c\x12core.multiarray.os\x93'),
}  # fmt: skip


@pytest.mark.parametrize('kind', FORGED)
def test_forged_pickles_are_refused(tmp_path, kind):
    path = tmp_path / 'data.pkl'
    path.write_bytes(FORGED[kind])
    with pytest.raises(UnsafePickleError, match=str(path)):
        load_pickle(path)


@pytest.mark.parametrize(
    'content',
    [
        b'',
        b'<html>not here</html>',
        pickle.dumps(DATA)[:-50],
        opcodes(b'cnumpy\nndarray\n(I0\ntR'),
        opcodes(b'N\x85Q'),
        b'\x80\x04' + b'\x8e' + struct.pack('<Q', 100) + b'short',
    ],
    ids=['empty', 'html', 'cut', 'call of a marker', 'persistent id', 'short bytes'],
)
def test_damaged_files_are_named(tmp_path, content):
    path = tmp_path / 'data.pkl'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f'{path} is not a whole pickle.*Download it again'):
        load_pickle(path)


def test_an_absent_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_pickle(tmp_path / 'nowhere.pkl')

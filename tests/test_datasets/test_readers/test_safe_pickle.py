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
        (np.zeros(2, dtype=[('a', 'f8'), ('b', 'O')]), "the type 'V16'"),
        (np.array('2020-01-01', dtype='M8[D]'), "the type 'M8'"),
    ],
)
def test_anything_else_is_refused_by_name(tmp_path, data, name):
    with pytest.raises(UnsafePickleError, match=name):
        load_pickle(dumped(tmp_path / 'data.pkl', data))


def opcodes(*parts: bytes) -> bytes:
    return b'\x80\x04' + b''.join(parts) + b'.'


DTYPE = b'cnumpy\ndtype\n'
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
SCALAR = b'cnumpy.core.multiarray\nscalar\n'
FROM_BUFFER = b'cnumpy.core.numeric\n_frombuffer\n'


def array(shape: bytes, code: bytes, content: bytes) -> bytes:
    """An array whose state says whatever it likes."""
    return opcodes(ARRAY, b'(I1\n', shape, DTYPE, b"(S'", code, b"'\ntRI00\n", content, b'tb')


def doubled(empty: bytes, add: bytes, times: int) -> bytes:
    """A container of twice a container of twice ..., in a few bytes."""
    return b''.join((empty, b'p0\n', *(b'(g%d\ng%d\n%sp%d\n' % (n, n, add, n + 1) for n in range(times))))


FORGED = {
    # An object type whose flags say that it holds none: numpy would take raw bytes for pointers.
    'flags': opcodes(DTYPE, b"(S'O8'\ntR(K\x03S'|'\nNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"),
    'fields': opcodes(DTYPE, b"(S'f8,O'\ntR"),
    'subarray': opcodes(DTYPE, b"(S'(2,)f8'\ntR"),
    'type by name': opcodes(DTYPE, b"(S'object'\ntR"),
    'encoding': opcodes(b"c_codecs\nencode\n(S'x'\nS'zip'\ntR"),
    'state of a function': opcodes(b'c_codecs\nencode\n}S\'__doc__\'\nS\'x\'\nsb'),
    'state of a class': opcodes(b'c__builtin__\nset\n}S\'x\'\nI1\nsb'),
    'state of a list': opcodes(b']}b'),
    'extension': opcodes(b'\x82\x01'),
    'module by attribute': opcodes(b'\x8c\x05numpy\x8c\x12core.multiarray.os\x93'),
    # What an array's state promises and what is there.
    'fewer objects than the shape': array(b'(I9\nt', b'O', b'(Nl'),
    'more objects than the shape': array(b'(I1\nt', b'O', b'(NNl'),
    'objects as raw bytes': array(b'(I1\nt', b'O', b'\x43\x08AAAAAAAA'),
    'objects as a tuple': array(b'(I1\nt', b'O', b'(Nt'),
    'fewer bytes than the shape': array(b'(I9\nt', b'f8', b'\x43\x08AAAAAAAA'),
    'half an element': array(b'(I1\nt', b'f8', b'\x43\x04AAAA'),
    'a list of numbers': array(b'(I1\nt', b'f8', b'(I1\nl'),
    'a negative side': array(b'(I-1\nI-1\nt', b'i1', b'\x43\x01A'),
    'a huge side': array(b'(I1000000000000\nt', b'i1', b'\x43\x01A'),
    'a huge side beside none': array(b'(I1000000000000\nI0\nt', b'i1', b'\x43\x00'),
    'sides whose product overflows': array(b'(I4294967296\nI4294967296\nt', b'i1', b'\x43\x00'),
    'elements of no size': array(b'(I1000000000000\nt', b'S0', b'\x43\x00'),
    'elements of a gigabyte': array(b'(I1\nt', b'S999999999', b'\x43\x01A'),
    'a true side': array(b'(I01\nt', b'i1', b'\x43\x01A'),
    'a list as shape': array(b'(I1\nl', b'i1', b'\x43\x01A'),
    'text that is none': array(b'(I1\nt', b'U1', b'\x43\x04\xff\xff\xff\xff'),
    'a state twice': array(b'(I1\nt', b'i1', b'\x43\x01A')[:-1] + b'}b.',
    'an empty state': opcodes(ARRAY, b')b'),
    'no state': opcodes(ARRAY, b'Nb'),
    'a scalar of objects': opcodes(SCALAR, b'(', DTYPE, b"(S'O8'\ntRNtR"),
    'a scalar of pointers': opcodes(SCALAR, b'(', DTYPE, b"(S'O8'\ntR\x43\x08AAAAAAAAtR"),
    'a scalar of a gigabyte': opcodes(SCALAR, b'(', DTYPE, b"(S'S999999999'\ntRtR"),
    'a buffer of pointers': opcodes(FROM_BUFFER, b'(\x43\x08AAAAAAAA', DTYPE, b"(S'O8'\ntR(I1\ntS'C'\ntR"),
    'a buffer that is too short': opcodes(FROM_BUFFER, b'(\x43\x04AAAA', DTYPE, b"(S'f4'\ntR(I9\ntS'C'\ntR"),
    'a buffer that is an array': opcodes(FROM_BUFFER, b'(', ARRAY, DTYPE, b"(S'i1'\ntR(I0\ntS'C'\ntR"),
    'a buffer of a view': opcodes(b'\x96', struct.pack('<Q', 1), b'A\x98'),
    # A few bytes that stand for more than any memory holds, or take forever.
    'bytes by their number': opcodes(b'c__builtin__\nbytes\n(I1000000000000\ntR'),
    'a bytearray by its number': opcodes(b'c__builtin__\nbytearray\n(I1000000000000\ntR'),
    'a list that doubles': opcodes(doubled(b'(l', b'l', 30)),
    'a tuple that doubles as a key': opcodes(b'}', doubled(b')', b't', 60), b'Ns'),
    'a tuple that doubles in a set': opcodes(b'\x8f(', doubled(b')', b't', 60), b'\x90'),
    'a list in itself': opcodes(b'(lp0\ng0\na'),
    'deep lists': opcodes(b'(' * 5000, b'N', b'l' * 5000),
    'deep tuples as a key': opcodes(b'}N', b'\x85' * 200_000, b'Ns'),
    'deep tuples in a frozenset': opcodes(b'(N', b'\x85' * 200_000, b'\x91'),
    # Objects filled as others.
    'an array as a list': opcodes(ARRAY, b'Na'),
    'an array as a dict': opcodes(ARRAY, b'I0\nI0\ns'),
    'an object of a class': opcodes(b'c__builtin__\nset\n)\x81'),
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
        pickle.dumps(DATA)[:-50],
        opcodes(b'cnumpy\nndarray\n(I0\ntR'),
        opcodes(b'\x96', struct.pack('<Q', 2**40)),
        opcodes(b'\x95', struct.pack('<Q', 2**40)),
        opcodes(b'\x8b', struct.pack('<i', 2**31 - 1)),
        opcodes(b'I', b'9' * 10_000, b'\n'),
        opcodes(b'N\x85Q'),
        b'\x80\x04' + b'\x8e' + struct.pack('<Q', 100) + b'short',
    ],
    ids=[
        'cut',
        'call of a marker',
        'bytearray',
        'frame',
        'long',
        'digits',
        'persistent id',
        'short',
    ],
)
def test_damaged_files_are_named(tmp_path, content):
    path = tmp_path / 'data.pkl'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f'{path} is not a whole pickle.*Download it again'):
        load_pickle(path)


def test_an_absent_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_pickle(tmp_path / 'nowhere.pkl')

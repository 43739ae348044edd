"""The same numbers are read, however a program writes its tables."""

import numpy as np
import pandas
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmcggm.datasets.readers.tables import Table

VALUES = st.lists(
    st.lists(st.floats(-1e3, 1e3).map(lambda x: round(x, 3)), min_size=3, max_size=3), min_size=2, max_size=5
)


@given(
    rows=VALUES,
    dialect=st.sampled_from([(',', '.'), (';', ','), (';', '.'), ('\t', '.'), ('\t', ','), (' ', '.')]),
    header=st.booleans(),
    name=st.sampled_from(['t.csv', 't.tsv', 't.txt', 't.csv.gz']),
    ends=st.sampled_from(['\n', '\r\n']),
)
@settings(max_examples=40, deadline=None)
def test_what_parts_cells_and_decimals_is_told_from_the_text(
    tmp_path_factory, rows, dialect, header, name, ends
):
    separator, decimal = dialect
    header = header and separator != ' '
    path = tmp_path_factory.mktemp('t') / name
    frame = pandas.DataFrame(rows, columns=['a', 'b', 'c'], dtype=float)
    frame.iloc[0] += 0.125  # numbers that don't count columns
    frame.to_csv(
        path,
        sep=separator,
        decimal=decimal,
        header=header,
        index=False,
        lineterminator=ends,
        float_format='%.4f',
    )
    assert np.allclose(Table(path).pick(''), frame.to_numpy(), atol=1e-3)


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('a, b\n1, x\n2, y\n', ['x', 'y']),
        ('a,b,\n1,x,\n2,y,\n', ['x', 'y']),
        ('name;b;c\n"u; v";x;1,5\nw;y;2,5\n', ['x', 'y']),
        ('b\nx\ny\n', ['x', 'y']),
        ('\n\na,b\n1,x\n2,y\n', ['x', 'y']),
    ],
)
def test_text_is_read_beside_numbers(tmp_path, text, expected):
    (tmp_path / 't.csv').write_text(text)
    assert Table(tmp_path / 't.csv').pick('b').tolist() == expected


def test_a_comma_in_text_is_no_decimal(tmp_path):
    (tmp_path / 't.csv').write_text('said;x\nI have 3,5 apples;0.25\n"so; what";1.25\n')
    assert Table(tmp_path / 't.csv').pick('x').tolist() == [0.25, 1.25]


def test_names_of_rows_are_text_even_of_digits(tmp_path):
    (tmp_path / 'a.csv').write_text(',x\n001,5\n002,6\n')
    (tmp_path / 'b.csv').write_text('x,id\n5,001\n6,002\n')
    (tmp_path / 'c.csv').write_text('x\n001,5\n00b,6\n')  # as R writes them
    assert Table(tmp_path / 'a.csv').names.tolist() == ['001', '002']
    assert Table(tmp_path / 'b.csv', names='id').names.tolist() == ['001', '002']
    assert Table(tmp_path / 'b.csv', names='id').pick('').tolist() == [[5], [6]]
    assert Table(tmp_path / 'c.csv').names.tolist() == ['001', '00b']
    with pytest.raises(ValueError, match=r"no column 'idd'\. Did you mean 'id'"):
        Table(tmp_path / 'b.csv', names='idd')


@pytest.mark.parametrize(
    ('content', 'key', 'message'),
    [
        (
            b'x,y\n1,2\nNA,3\n',
            '',
            r"among them 'x' with 'NA' in row 1.*missing value, leave it empty",
        ),
        (b'id,x\n0,5\n1,6\n2,7\n', '', r"'id', counts the rows.*names='id'"),
        (b'id,x\n1,5\n2,6\n3,7\n', '', r"'id', counts the rows"),
        (
            b',1,2,3\na,5,6,7\n',
            '1:2',
            r"range of places, but '1' is also the name of the column at place 0",
        ),
        ('mood\nschön\n'.encode('cp1252'), '', 'no text in UTF-8 .* Save it as UTF-8'),
        (b'a;b\n1;2;3;4\n', '', 'with 2 cells more than the header'),
    ],
)
def test_what_would_be_misread_is_refused(tmp_path, content, key, message):
    (tmp_path / 't.csv').write_bytes(content)
    with pytest.raises(ValueError, match=message):
        Table(tmp_path / 't.csv').pick(key)


def test_parquet_holds_an_array_in_each_cell(tmp_path):
    pytest.importorskip('pyarrow')
    sequences = [np.arange(2 * length).reshape(length, 2).tolist() for length in (1, 3, 2)]
    vectors = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    frame = pandas.DataFrame(
        dict(vectors=vectors, sequences=sequences, flag=[True, False, True], n=[1.5, 2.5, 3])
    )
    frame['few'] = pandas.array([1, None, 3], dtype='Int64')
    frame.to_parquet(tmp_path / 't.parquet')
    found = Table(tmp_path / 't.parquet')
    assert [list(cell) for cell in found.pick('vectors')] == vectors
    assert [np.array(cell).tolist() for cell in found.pick('sequences')] == sequences
    assert found.pick('flag,n').tolist() == [[1, 1.5], [0, 2.5], [1, 3]]
    assert np.isnan(found.pick('few').astype(float)).tolist() == [False, True, False]
    with pytest.raises(ValueError, match="'vectors' with arrays"):
        found.pick('')

"""Tables are read by name and place, and what is ambiguous is refused."""

import numpy as np
import pandas
import pytest

from mmcggm.datasets.readers.tables import Table


def table(tmp_path, text, name='t.csv', **kwargs) -> Table:
    (tmp_path / name).write_text(text, encoding='utf-8')
    return Table(tmp_path / name, **kwargs)


def test_columns_are_picked(tmp_path):
    found = table(tmp_path, 'name,a_0,a_1,b\nx,1,2,3\ny,4,5,6\n')
    assert found.pick('name').tolist() == ['x', 'y']
    assert found.pick('b').tolist() == found.pick('-1').tolist() == [3, 6]
    for key in ('a_*', '1:3', 'a_0,a_1', '1, 2'):
        assert found.pick(key).tolist() == [[1, 2], [4, 5]]
    assert found.pick('3:').tolist() == [[3], [6]]
    with pytest.raises(ValueError, match=r"no column 'a_2'\. Did you mean 'a_"):
        found.pick('a_2')
    with pytest.raises(ValueError, match=r"1 of 4 columns hold text, among them 'name' with 'x'"):
        found.pick('')


def test_a_header_is_told_from_numbers(tmp_path):
    assert table(tmp_path, '0.5,1\n2,3\n').pick('').tolist() == [[0.5, 1], [2, 3]]
    assert table(tmp_path, '"0.5","1"\n"2","3"\n').pick('').shape == (2, 2)
    with pytest.raises(ValueError, match='may be names of columns or data'):
        table(tmp_path, '0,1,2\n5,6,7\n')
    assert table(tmp_path, '0,1,2\n5,6,7\n', header=True).pick('').tolist() == [[5, 6, 7]]
    assert table(tmp_path, '0,1,2\n5,6,7\n', header=False).pick('').shape == (2, 3)
    counted = table(tmp_path, ',0,1,2\na,5,6,7\n')  # pandas counts the columns of an array
    assert counted.pick('').tolist() == [[5, 6, 7]] and counted.names.tolist() == ['a']


def test_rows_have_the_names_that_pandas_writes(tmp_path):
    frame = pandas.DataFrame(dict(a=[1.0, 2.0], b=[3.0, 4.0]), index=['p1', 'p2'])
    frame.to_csv(tmp_path / 't.csv')
    frame.to_csv(tmp_path / 't.tsv', sep='\t')
    for name in ('t.csv', 't.tsv'):
        found = Table(tmp_path / name)
        assert found.names.tolist() == ['p1', 'p2']
        assert np.array_equal(found.pick(''), frame.to_numpy())


def test_parquet_is_read_with_its_index(tmp_path):
    pytest.importorskip('pyarrow')
    frame = pandas.DataFrame(dict(a=[1.0, 2.0], kind=['x', 'y']), index=['p1', 'p2'])
    frame.to_parquet(tmp_path / 't.parquet')
    found = Table(tmp_path / 't.parquet')
    assert found.names.tolist() == ['p1', 'p2'] and found.pick('kind').tolist() == ['x', 'y']
    (tmp_path / 't.parquet').write_bytes(b'PAR1 and no more')
    with pytest.raises(ValueError, match=r't\.parquet cannot be read as a table'):
        Table(tmp_path / 't.parquet')


def test_names_that_look_missing_stay_names(tmp_path):
    assert table(tmp_path, 'mood,x\nNone,1\nNA,2\n').pick('mood').tolist() == ['None', 'NA']


def test_empty_cells_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"column 'mood' is empty in 1 rows: \[1\]"):
        table(tmp_path, 'mood,x\ncalm,1\n,2\n').pick('mood')
    assert np.isnan(table(tmp_path, 'mood,x\ncalm,1\nsad,\n').pick('x')).tolist() == [False, True]
    with pytest.raises(ValueError, match='is empty'):
        table(tmp_path, '')


def test_a_torn_table_is_named(tmp_path):
    with pytest.raises(ValueError, match=r't\.csv cannot be read as a table'):
        table(tmp_path, 'a,b\n1,2\n3,4,5,6\n')

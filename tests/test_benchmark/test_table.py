"""The files that hold a summary."""

import csv
import json

import pytest

from mmcggm.benchmark import summarise, to_markdown, write_tables
from tests.test_benchmark.finished import SCORES, finish


def test_markdown_is_what_it_looks_like(benchmark_of_two, tmp_path):
    finish(benchmark_of_two, tmp_path, leave_out=[('fast', 1), ('fast', 2)])
    assert to_markdown(
        summarise(benchmark_of_two, benchmark_of_two.finals(), tmp_path), benchmark_of_two.metrics
    ) == (
        '| setting | method | accuracy | guide/audio | Δ accuracy | p | p (Holm) | seeds |\n'
        '| --- | --- | --- | --- | --- | --- | --- | --- |\n'
        '| clean | plain | 0.703 ± 0.015 | 0.352 ± 0.008 | – | – | – | 3 |\n'
        '| clean | fast | 0.750 | 0.375 | +0.050 | – | – | 1 |\n'
    )


@pytest.mark.parametrize(('gap', 'cell'), [(0.0001, '< 0.001'), (0.02, '0.049')])
def test_markdown_tells_significance(benchmark_of_two, tmp_path, monkeypatch, gap, cell):
    # Differences of 0.03, 0.03 + gap and 0.03 + 2 gap: t is 4.3 for a gap of 0.02, and 521 for one of 0.0001.
    plain = [0.5, 0.6, 0.7]
    monkeypatch.setitem(SCORES, 'plain', plain)
    monkeypatch.setitem(SCORES, 'fast', [v + 0.03 + i * gap for i, v in enumerate(plain)])
    finish(benchmark_of_two, tmp_path)
    assert f'| {cell} | {cell} | 3 |' in to_markdown(
        summarise(benchmark_of_two, benchmark_of_two.finals(), tmp_path), ['accuracy']
    )


def test_tables_agree(benchmark_of_two, tmp_path):
    finish(benchmark_of_two, tmp_path)
    rows = summarise(benchmark_of_two, benchmark_of_two.finals(), tmp_path)
    write_tables(rows, benchmark_of_two.metrics, tmp_path)
    assert (tmp_path / 'table.md').read_text() == to_markdown(rows, benchmark_of_two.metrics)
    with (tmp_path / 'table.csv').open() as file:
        lines = list(csv.DictReader(file))
    objects = json.loads((tmp_path / 'table.json').read_text())
    for row, line, entry in zip(rows, lines, objects, strict=True):
        assert float(line['mean']) == entry['mean'] == row.mean
        assert line['values'].split() == [str(v) for v in entry['values']] and entry['seeds'] == [0, 1, 2]
    assert objects[0]['p_value'] is None and objects[2]['p_value'] == rows[2].against['plain'].p_value

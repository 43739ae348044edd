"""CMU-MOSI's utterances: from the published tables to one file, split by video."""

import sys
from pathlib import Path

import numpy as np
import pytest

from mmcggm.datasets.mosi_utterances.converter import FILE, WIDTHS, convert_folder, read_transcripts
from tests.formats.real_sets import write_mosi
from tests.tool import run_script

TOOL = Path(__file__).parents[2] / 'tools' / 'dataset_converters' / 'mosi_utterances.py'


def test_rows_are_the_utterances_of_the_transcripts(tmp_path, monkeypatch, capsys):
    write_mosi(tmp_path)
    monkeypatch.setattr(sys, 'argv', [str(TOOL), str(tmp_path), '--out', str(tmp_path / 'out')])
    assert run_script(TOOL) == 0 and '124 train, 6 val, 10 test' in capsys.readouterr().out
    found = np.load(tmp_path / 'out' / FILE)
    names, videos, labels = read_transcripts(tmp_path / 'transcripts.csv')
    place = found['text'][:, 0].astype(int)  # features that tell the utterance
    assert sorted(place) == list(range(140))
    for modality, width in WIDTHS.items():
        assert found[modality].shape == (140, width) and (place == found[modality].T).all()
    for name, expected in dict(name=names, group=videos, label=labels).items():
        assert np.array_equal(found[name], expected[place])


def test_videos_that_train_do_not_validate(tmp_path):
    write_mosi(tmp_path)
    drawn = []
    for seed in (0, 1, 0):
        convert_folder(tmp_path, tmp_path, seed=seed)
        found = np.load(tmp_path / FILE)
        videos = {split: set(found['group'][found['split'] == split]) for split in ('train', 'val', 'test')}
        assert videos['train'] == set(range(1, 63)) and videos['val'] | videos['test'] == set(range(63, 71))
        assert not videos['val'] & videos['test']
        drawn.append(videos['val'])
    assert drawn[0] == drawn[2] != drawn[1]


def test_other_content_is_refused_by_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'lacks transcripts\.csv, text_train0\.csv.*: download'):
        convert_folder(tmp_path, tmp_path)
    write_mosi(tmp_path)
    table = (tmp_path / 'audio_test0.csv').read_text().splitlines()
    for name, lines, message in (
        ('audio_test0.csv', table[1:], r'shape \(15, 74\); it must have 16 utterances of 73'),
        ('audio_test0.csv', table[::-1], 'row 1 has the label 0, but transcripts.csv 1'),
        ('transcripts.csv', ['"v_1","WORDS","one","1"'], 'row 1 must have an utterance'),
        ('transcripts.csv', [], 'is empty'),
    ):
        write_mosi(tmp_path)
        (tmp_path / name).write_text('\n'.join(lines))
        with pytest.raises(ValueError, match=f'{name}.*{message}'):
            convert_folder(tmp_path, tmp_path)

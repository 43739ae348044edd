"""MELD's dev utterances: from the published files to one."""

import pickle
import sys
from pathlib import Path

import numpy as np
import pandas
import pytest

from mmcggm.datasets.meld.converter import EMOTIONS, FILE, SOURCES, convert_folder
from tests.formats.real_sets import write_meld
from tests.tool import run_script

TOOL = Path(__file__).parents[2] / 'tools' / 'dataset_converters' / 'meld.py'


def test_rows_of_all_modalities_are_the_same_utterance(tmp_path, monkeypatch, capsys):
    write_meld(tmp_path)
    monkeypatch.setattr(sys, 'argv', [str(TOOL), str(tmp_path), '--out', str(tmp_path / 'out')])
    assert run_script(TOOL) == 0
    assert '59 utterances of 12 dialogues; 1 have no vision' in capsys.readouterr().out
    found = np.load(tmp_path / 'out' / FILE)
    for modality in ('text', 'audio', 'vision'):  # features that tell the utterance
        assert np.array_equal(found[modality][:, 0], found['dialogue'])
        assert np.array_equal(found[modality][:, 1], found['utterance'])
    emotions = (
        pandas.read_csv(tmp_path / 'dev_sent_emo.csv').set_index(['Dialogue_ID', 'Utterance_ID']).Emotion
    )
    for row in range(len(found['label'])):
        name = found['dialogue'][row], found['utterance'][row]
        assert EMOTIONS[found['label'][row]] == emotions[name]


def test_other_content_is_refused_by_name(tmp_path):
    with pytest.raises(FileNotFoundError, match=r'dev_sent_emo\.csv.*download.*declare-lab/MELD'):
        convert_folder(tmp_path, tmp_path)
    short = pickle.dumps(np.zeros((59, 768), np.float32))
    unnamed = pickle.dumps({'dia0_utt0': np.zeros(35)})
    foreign = pickle.dumps({'999_0': np.zeros(35)})
    broken = pickle.dumps({'0_0': np.full(35, np.nan)})
    header = b'Dialogue_ID,Utterance_ID,Emotion\n'
    for name, content, message in (
        ('text_base_val.pkl', short, r'each of 60 utterances.*\(59, 768\)'),
        ('vision_dev_35_aus.pickle', unnamed, "'dia0_utt0' doesn't name dialogue and utterance"),
        ('vision_dev_35_aus.pickle', foreign, 'none of the utterances'),
        ('vision_dev_35_aus.pickle', broken, 'no finite numbers, first in row 0'),
        ('dev_sent_emo.csv', b'Emotion\njoy\n', r"lacks the columns \['Dialogue_ID', 'Utterance_ID'\]"),
        (
            'dev_sent_emo.csv',
            header + b'0,0,joy\n0,0,joy\n',
            'row 3: utterance 0 of dialogue 0 is there twice',
        ),
        ('dev_sent_emo.csv', header + b'0,0,bliss\n', "row 2: 'bliss' is none of"),
        ('dev_sent_emo.csv', header + b'0,x,joy\n', "row 2: .*'x'"),
    ):
        write_meld(tmp_path)
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f'{name}.*{message}'):
            convert_folder(tmp_path, tmp_path / 'out')
    assert (
        set(SOURCES) <= {path.name for path in tmp_path.iterdir()} and not (tmp_path / 'out' / FILE).exists()
    )

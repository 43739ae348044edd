"""Predicting samples from arrays and files, one by one or in batches."""

import csv
import pickle
from pathlib import Path

import numpy as np
import pandas
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmengine.config import Config
from safetensors.numpy import save_file

from mmcggm.apis import PredictionInferencer, init_model
from mmcggm.apis.infer import main
from mmcggm.utils.checkpoints import CheckpointError
from tests.hostile import FORMS
from tests.segmentors import build

ROOT = Path(__file__).parents[2]
TASKS = dict(classification='class', regression='regression', multilabel='multilabel')
CONFIG = """
_base_ = ['{root}/configs/_base_/guided/features_{task}.py']
model = dict(
    model=dict(
        backbone=dict(
            _delete_=True,
            type='MultimodalBackbone',
            encoders=dict(
                a=dict(type='torch.nn.Linear', in_features=5, out_features=8),
                b=dict(type='SequenceEncoder', in_channels=3, dim=8, num_layers=1, num_heads=2),
            ),
            modalities=('a', 'b'),
            fusion=dict(type='SumFusion', dim=8),
        ),
        dim=8,
        outputs=3,
        data_preprocessor=dict(_delete_=True, type='MultimodalDataPreprocessor'),
    )
)
custom_hooks = []
test_dataloader = dict(dataset=dict(inputs=dict(a='x.npz:a', b='x.npz:b'), labels='x.npz:y', padding=['b']))
"""


def files_of(folder: Path, task: str) -> tuple[Path, Path]:
    config = folder / f'{task}.py'
    config.write_text(CONFIG.format(root=ROOT, task=task))
    torch.manual_seed(0)
    model = build(Config.fromfile(config).model)
    meta = dict(dataset_meta=dict(classes=('x', 'y', 'z')))
    torch.save(dict(meta=meta, state_dict=model.state_dict()), folder / f'{task}.pth')
    return config, folder / f'{task}.pth'


@pytest.fixture(scope='module')
def model_files(tmp_path_factory) -> dict[str, tuple[Path, Path]]:
    folder = tmp_path_factory.mktemp('models')
    return {task: files_of(folder, task) for task in TASKS}


@pytest.fixture(scope='module')
def inferencers(model_files) -> dict[str, PredictionInferencer]:
    return {task: PredictionInferencer(*files, device='cpu') for task, files in model_files.items()}


def samples(number: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Vectors, and sequences padded with zeros to six tokens."""
    rng = np.random.default_rng(seed)
    sequences = rng.normal(size=(number, 6, 3))
    for sequence, length in zip(sequences, rng.integers(1, 7, number), strict=True):
        sequence[length:] = 0
    return dict(a=rng.normal(size=(number, 5)), b=sequences)


def numbers(results: list[dict]) -> np.ndarray:
    return np.array([result.get('pred_scores', result.get('pred_value')) for result in results])


@settings(max_examples=15)
@given(
    number=st.integers(1, 9),
    batch_size=st.integers(1, 9),
    seed=st.integers(0, 99),
    task=st.sampled_from([*TASKS]),
)
def test_batches_equal_single_samples(inferencers, number, batch_size, seed, task):
    inferencer, inputs = inferencers[task], samples(number, seed)
    inferencer.batch_size = batch_size
    batched = numbers(inferencer(inputs, progress=False))
    singles = [{name: values[row] for name, values in inputs.items()} for row in range(number)]
    each = np.concatenate([numbers(inferencer([sample], progress=False)) for sample in singles])
    np.testing.assert_allclose(batched, each, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(batched, numbers(inferencer(singles, progress=False)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('kind', ['npz', 'npy', 'csv', 'safetensors'])
def test_files_equal_arrays(inferencers, tmp_path, kind):
    inferencer, inputs = inferencers['classification'], samples(7)
    path = tmp_path / f'in.{kind}'
    if kind == 'npz':
        np.savez(path, labels=np.arange(7), **inputs)
    elif kind == 'safetensors':
        save_file(inputs, path)
    else:
        path = tmp_path
        np.save(path / 'b.npy', inputs['b'])
        if kind == 'csv':
            np.savetxt(path / 'a.csv', inputs['a'], delimiter=',', header='v,w,x,y,z', comments='')
        else:
            np.save(path / 'a.npy', inputs['a'])
    np.testing.assert_array_equal(
        numbers(inferencer(path, progress=False)), numbers(inferencer(inputs, progress=False))
    )


def test_in_a_folder_the_file_that_the_config_names_goes_first(inferencers, tmp_path):
    inferencer, inputs = inferencers['classification'], samples(7)
    np.save(tmp_path / 'a.npy', inputs['a'] + 1)
    np.savez(tmp_path / 'x.npz', **inputs)
    found = inferencer(tmp_path, progress=False)
    np.testing.assert_array_equal(numbers(found), numbers(inferencer(inputs, progress=False)))
    (tmp_path / 'x.npz').rename(tmp_path / 'y.npz')
    message = "one file for 'b', such as b.npy, or x.npz, which the config names; it has none. A"
    with pytest.raises(FileNotFoundError, match=message):
        inferencer(tmp_path, progress=False)


def test_what_is_predicted_has_the_names_of_the_field(inferencers):
    found = {task: inferencer(samples(4), progress=False) for task, inferencer in inferencers.items()}
    for result in found['classification']:
        assert result['pred_scores'].sum() == pytest.approx(1)
        assert result['pred_label'] == result['pred_scores'].argmax()
        assert result['pred_class'] == 'xyz'[result['pred_label']]
    for result in found['multilabel']:
        assert result['pred_label'] == np.flatnonzero(result['pred_scores'] > 0.5).tolist()
    assert all(result['pred_value'].shape == (3,) for result in found['regression'])


def test_lengths_and_zeros_at_the_end_mean_one_thing(model_files):
    inputs = samples(5)
    lengths = dict(b=[int(np.flatnonzero(s.any(axis=1))[-1]) + 1 for s in inputs['b']])
    inferencer = PredictionInferencer(*model_files['regression'], device='cpu')
    by_zeros = numbers(inferencer(inputs, progress=False))
    filled = dict(inputs, b=np.where(inputs['b'] == 0, 9.0, inputs['b']))
    np.testing.assert_array_equal(numbers(inferencer(filled, lengths, progress=False)), by_zeros)


def configured(model_files, **settings) -> PredictionInferencer:
    config, checkpoint = model_files['classification']
    config = Config.fromfile(config)
    config.test_dataloader.dataset.pop('padding')
    config.test_dataloader.dataset.update(settings)
    return PredictionInferencer(config, checkpoint, 'cpu')


@pytest.mark.parametrize('at_start', [False, True])
def test_a_file_is_read_with_the_settings_of_the_training(model_files, tmp_path, at_start):
    rng = np.random.default_rng(0)
    lengths, vectors = np.array([2, 6, 4]), rng.normal(size=(3, 5))
    sequences = [rng.normal(size=(length, 3)) for length in lengths]
    padded = np.zeros((3, 6, 3))
    for row, sequence in zip(padded, sequences, strict=True):
        row[slice(6 - len(sequence), None) if at_start else slice(len(sequence))] = sequence
    path = tmp_path / 'in.npz'
    np.savez(path, a=vectors, b=padded, n=lengths[:, None])
    for limit in (None, 3):
        inferencer = configured(model_files, lengths=dict(b='x.npz:n'), max_length=limit)
        singles = [dict(a=v, b=s[:limit]) for v, s in zip(vectors, sequences, strict=True)]
        expected = numbers(configured(model_files)(singles, progress=False))
        np.testing.assert_allclose(numbers(inferencer(path, progress=False)), expected, rtol=1e-4, atol=1e-6)
    np.savez(path, a=vectors, b=padded)
    with pytest.raises(
        ValueError, match=r"has no 'n'.* The config reads `lengths\.b` there, to tell what counts"
    ):
        inferencer(path, progress=False)


def test_each_utterance_of_dialogues_is_predicted(model_files, tmp_path):
    inputs, mask = samples(6), np.array([[1, 1, 0], [1, 1, 1]])
    np.savez(tmp_path / 'in.npz', **{m: v.reshape(2, 3, *v.shape[1:]) for m, v in inputs.items()}, mask=mask)
    found = configured(model_files, dialogues='x.npz:mask', padding=['b'])(
        tmp_path / 'in.npz', progress=False
    )
    expected = configured(model_files, padding=['b'])(
        {m: v[mask.ravel() == 1] for m, v in inputs.items()}, progress=False
    )
    np.testing.assert_allclose(numbers(found), numbers(expected), rtol=1e-5)
    lists = {
        m: [v[0, :2], v[1]] for m, v in {m: v.reshape(2, 3, *v.shape[1:]) for m, v in inputs.items()}.items()
    }
    (tmp_path / 'in.pkl').write_bytes(pickle.dumps(lists))
    found = configured(model_files, dialogues=True, padding=['b'])(tmp_path / 'in.pkl', progress=False)
    np.testing.assert_allclose(numbers(found), numbers(expected), rtol=1e-5)


def test_rows_of_files_are_matched_by_name(model_files, tmp_path):
    inputs, names = samples(5), np.array([f'p{row}' for row in range(5)])
    order = [3, 0, 4, 1, 2]
    pandas.DataFrame(inputs['a'], names).to_csv(tmp_path / 'a.csv')
    np.savez(tmp_path / 'b.npz', b=inputs['b'][order], id=names[order])
    b = dict(file='b.npz', key='b', names='id')
    inferencer = configured(model_files, inputs=dict(a='a.csv', b=b), padding=['b'])
    found, expected = inferencer(tmp_path, progress=False), inferencer(inputs, progress=False)
    np.testing.assert_allclose(numbers(found), numbers(expected), rtol=1e-5)
    assert [result['sample'] for result in found] == names.tolist()


@pytest.mark.parametrize(
    ('inputs', 'message'),
    [
        (dict(a=np.ones((2, 5))), r"lacks \['b'\]"),
        (dict(a=np.ones((2, 5)), b=np.ones((3, 6, 3))), 'as many samples each'),
        (dict(a=np.full((2, 5), np.nan), b=np.ones((2, 6, 3))), "'a' holds 10 values that are missing"),
        ([dict(a=np.ones(5))], r"Sample 0 lacks \['b'\]"),
        ('nothing.npz', 'no file'),
        ('picture.jpg', 'must be a folder, or a file that ends in'),
    ],
)
def test_wrong_input_is_named(inferencers, inputs, message):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        inferencers['classification'](inputs, progress=False)


def test_the_tool_writes_a_table_and_keeps_it(model_files, inferencers, tmp_path, capsys):
    np.savez(tmp_path / 'in.npz', a=np.ones((2, 5)))
    call = [
        *map(str, model_files['classification']),
        str(tmp_path / 'in.npz'),
        '--out',
        str(tmp_path / 'out'),
    ]
    with pytest.raises(ValueError, match="'b'"):
        main([*call, '--device', 'cpu'])
    assert not any((tmp_path / 'out').iterdir())  # a refusal leaves nothing
    np.savez(tmp_path / 'in.npz', **samples(6))
    assert main([*call, '--device', 'cpu']) == 0
    with (tmp_path / 'out' / 'predictions.csv').open() as file:
        rows = list(csv.DictReader(file))
    expected = inferencers['classification'](samples(6), progress=False)
    assert [row['pred_class'] for row in rows] == [result['pred_class'] for result in expected]
    scores = [[float(row[f'score {name}']) for name in 'xyz'] for row in rows]
    np.testing.assert_allclose(scores, numbers(expected), rtol=1e-5)
    assert main(call) == 0 and 'Already there' in capsys.readouterr().out
    np.savez(tmp_path / 'in.npz', **samples(3))
    assert main(call) == 0 and '3 predictions' in capsys.readouterr().out
    with pytest.raises(ValueError, match=r'--probabilities is for models that segment'):
        main([*call, '--probabilities'])


@pytest.mark.parametrize('form', FORMS)
def test_code_in_a_checkpoint_does_not_run(form, model_files, tmp_path):
    proof, path = tmp_path / 'proof', tmp_path / 'hostile.pth'
    checkpoint = dict(state_dict={}, optimizer=dict(state={}), message_hub={})
    FORMS[form](checkpoint, proof, path)
    with pytest.raises(CheckpointError):
        init_model(model_files['regression'][0], path, 'cpu')
    assert not proof.exists()


def test_neither_config_nor_checkpoint():
    with pytest.raises(ValueError, match='Give a config'):
        init_model(None, None)

"""Folds that nobody trained: what is asked for, refused, done once, and made a table of."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

pytest.importorskip('panoptica')

from mmcggm.benchmark import write_result
from mmcggm.folds import CrossValidation, read_scores, summarise, to_markdown, write_tables
from mmcggm.utils.csv_files import write_csv

METRICS = ('Dice_WT', 'HD95_WT', 'Dice_ET', 'HD95_ET')


class PredictingEngine:
    """An engine that trains nothing: where the config says, it writes what folds end with."""

    def __init__(self, *fails: str) -> None:
        self.fails, self.done = fails, []

    def prepare(self, folder: Path) -> None:
        pass

    def run(self, folder: Path, fingerprint: str, checkpoint: str | None) -> str:
        self.done.append(folder.name)
        cfg = Config.fromfile(folder / 'config.py', format_python_code=False)
        (folder / 'epoch_1.pth').touch()
        if folder.name in self.fails:
            return 'exit code 1'
        splits = json.loads(Path(cfg.test_dataloader.dataset.splits_file).read_text())
        assert checkpoint == 'last' and cfg.resume and cfg.train_dataloader.dataset.split == 'train'
        scorer, writer = cfg.test_evaluator
        for case in splits['test']:
            Path(writer.out_dir).mkdir(exist_ok=True)
            Path(writer.out_dir, f'{case}.nii.gz').touch()
        write_csv(scorer.per_case_csv, [dict(case=case, **figures(case)) for case in splits['test']])
        write_result(folder, fingerprint, metrics={})
        return 'exit code 0'

    def close(self) -> None:
        pass


def figures(case: str) -> dict[str, float]:
    """Return figures that differ from case to case; one has no enhancing tumour."""
    value = sum(map(ord, case)) % 97 / 97
    no_et = case == 'BraTS2021_00002'
    return dict(
        zip(METRICS, (value, 9 * value, np.nan if no_et else value**2, np.nan if no_et else 3.0), strict=True)
    )


def config(store: Path, **options) -> Config:
    """Return what is looked at of the config of a training."""
    data = dict(type='BraTSDataset', data_root=str(store), sample='volume')
    cfg = Config(
        dict(
            train_dataloader=dict(dataset=dict(data, sample='tumour_slices', split='all')),
            val_dataloader=dict(dataset=data),
            test_dataloader=dict(dataset=data),
            val_cfg={},
            val_evaluator=dict(type='BraTSMetric'),
            test_evaluator=dict(type='BraTSMetric'),
            optim_wrapper=dict(balancer=dict(type='CGGM', rho='neutral')),
            default_hooks=dict(checkpoint=dict(type='CheckpointHook')),
        )
    )
    cfg.merge_from_dict(options)
    return cfg


@pytest.fixture
def store(brats_store, tmp_path):
    return shutil.copytree(brats_store, tmp_path / 'store')


@pytest.fixture
def go(store, tmp_path):
    """Return a function that does three folds of a store; it returns its engine and what failed."""

    def run(engine=None, folds=3, work='work', seed=0, **options):
        engine = engine or PredictingEngine()
        validation = CrossValidation(config(store, **options), folds, seed)
        runs, failed = validation.run(tmp_path / work, 1, engine)
        go.validation, go.runs = validation, runs
        return engine.done, {str(run): why for run, why in failed.items()}

    go = run
    return run


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob('*') if path.is_file()}


def test_what_is_done_is_not_done_again(go, tmp_path):
    done, failed = go(PredictingEngine('fold_1'))
    assert done == ['fold_0', 'fold_1', 'fold_2'] and list(failed) == ['fold 1']
    before = times(tmp_path / 'work')
    assert go() == (['fold_1'], {}) and go() == ([], {})
    kept = {
        path: time for path, time in before.items() if 'fold_1' not in path.parts and path.name != 'data.json'
    }
    after = times(tmp_path / 'work')
    assert len(kept) > 12 and all(after[path] == time for path, time in kept.items())
    assert (tmp_path / 'work' / 'fold_1' / 'epoch_1.pth') in after  # what it goes on from


def test_lost_figures_and_segmentations_are_predicted_again(go, tmp_path, capsys):
    go()
    (tmp_path / 'work' / 'segmentations' / 'BraTS2021_00001.nii.gz').unlink()
    (again,), _ = go()
    splits = json.loads((tmp_path / 'work' / 'splits' / f'{again}.json').read_text())
    assert 'BraTS2021_00001' in splits['test'] and 'BraTS2021_00001.nii.gz' in capsys.readouterr().out
    (tmp_path / 'work' / 'fold_2' / 'cases.csv').unlink()
    assert go()[0] == ['fold_2']


def test_the_table_has_each_fold_and_all_cases(go, tmp_path):
    go()
    work, validation, runs = tmp_path / 'work', go.validation, go.runs
    scores = read_scores(runs, work, validation.patients)
    rows = summarise(scores, complete=True)
    write_tables(rows, scores, work)
    by_key = {(row.fold, row.metric): row for row in rows}
    assert {fold for fold, _ in by_key} == {'0', '1', '2', 'all'}
    for fold, cases in [(str(run.number), run.splits['test']) for run in runs] + [('all', validation.cases)]:
        means = []
        for metric in METRICS:
            values = np.array([figures(case)[metric] for case in cases])
            values = values[~np.isnan(values)]
            row = by_key[fold, metric]
            assert row.cases == len(values)
            if len(values):
                assert row.mean == pytest.approx(values.mean(), rel=1e-12)
                means += [values.mean()] if metric.startswith('Dice') else []
            if len(values) > 1:
                assert row.std == pytest.approx(np.std(values, ddof=1), rel=1e-12)
        assert by_key[fold, 'Dice_mean'].mean == pytest.approx(np.mean(means))
    text = to_markdown(rows)
    assert text.count('\n') == 6 and '| all | 4 |' in text and '(3 cases) |' in text
    assert text == (work / 'table.md').read_text()
    with (work / 'cases.csv').open() as file:
        read = list(csv.DictReader(file))
    assert {row['case']: row['patient'] for row in read}['BraTS-GLI-00003-001'] == 'BraTS-GLI-00003'
    assert '| all |' not in to_markdown(summarise(scores[:2], complete=False))


CHANGES = {
    'config': (
        dict(options={'optim_wrapper.balancer.rho': 1.0}),
        r'`optim_wrapper.balancer.rho` "neutral".*1\.0',
    ),
    'seed': (dict(seed=1), '`seed` 0, but now it is 1'),
    'folds': (dict(folds=2), '`folds` 3, but now it is 2'),
}


@pytest.mark.parametrize('change', CHANGES)
def test_another_cross_validation_is_refused_once_something_was_trained(go, tmp_path, change):
    given, said = CHANGES[change]
    arguments = dict(folds=given.get('folds', 3), seed=given.get('seed', 0), **given.get('options', {}))
    go()
    before = times(tmp_path / 'work')
    with pytest.raises(ValueError, match=said):
        go(**arguments)
    assert times(tmp_path / 'work') == before
    for trained in [*tmp_path.glob('work/*/*.pth'), *tmp_path.glob('work/*/result.json')]:
        trained.unlink()
    assert len(go(**arguments)[0]) == arguments['folds']  # nothing was lost


def edit_fold(work, store):
    file = work / 'splits' / 'fold_1.json'
    content = json.loads(file.read_text())
    content['train'], content['test'] = content['test'], content['train']
    file.write_text(json.dumps(content))


def lose_a_case(work, store):
    file = store / 'splits.json'
    content = json.loads(file.read_text())
    for split in ('train', 'val', 'test'):
        content[split] = [case for case in content[split] if case != 'BraTS2021_00001']
    file.write_text(json.dumps(content))


def change_data(work, store):
    (store / 'cases' / 'more').write_text('other data')


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        (edit_fold, r'fold_1\.json is not what the seed .*edited'),
        (lose_a_case, 'The store has lost BraTS2021_00001 since'),
        (change_data, r'What .*store holds has changed since fold 0'),
    ],
)
def test_edited_folds_and_changed_data_are_refused(go, store, tmp_path, change, said):
    go(folds=2)
    change(tmp_path / 'work', store)
    with pytest.raises(ValueError, match=said):
        go(folds=2)


def test_a_folder_of_something_else_is_refused(go, tmp_path):
    (tmp_path / 'work').mkdir()
    (tmp_path / 'work' / 'epoch_1.pth').touch()
    with pytest.raises(ValueError, match=r'holds no folds\.json, but epoch_1\.pth: it is of something else'):
        go()
    (tmp_path / 'work' / 'folds.json').write_text('{')
    with pytest.raises(ValueError, match=r'folds\.json is not valid JSON'):
        go()


NO_VALIDATION = {'val_dataloader': None, 'val_cfg': None, 'val_evaluator': None}
SAVE_BEST = {'default_hooks.checkpoint.save_best': 'Dice_mean'}
REFUSED = {  # arguments, options of the config, and what is said
    'more folds than patients': (dict(folds=4), {}, '--folds is 4, but the 4 labelled cases are of 3 pat'),
    'other data': ({}, {'test_dataloader.dataset.type': 'MfeatDataset'}, '`test_dataloader` in the config r'),
    'two stores': ({}, {'test_dataloader.dataset.data_root': 'elsewhere'}, 'read 2: .*elsewhere'),
    'a part of the cases': ({}, {'test_dataloader.dataset.indices': 2}, 'of the 4 cases .* it reads 2'),
    'slices': ({}, {'test_dataloader.dataset.sample': 'tumour_slices'}, "sample='volume'"),
    'no figures': ({}, {'test_evaluator.type': 'SliceDiceMetric'}, 'must have one BraTSMetric'),
    'labels of other classes': (dict(out_labels='ped2024'), {}, 'which ped2024 cannot write'),
    'a validation that is declined': (dict(val_share=0.0), SAVE_BEST, '--val-share is 0, but .*save_best'),
    'a validation that is not there': (dict(val_share=0.2), NO_VALIDATION, 'no `val_dataloader`'),
}


@pytest.mark.parametrize('what', REFUSED)
def test_what_does_not_do_is_named_before_anything_is_written(brats_store, what):
    arguments, options, said = REFUSED[what]
    with pytest.raises(ValueError, match=said):
        CrossValidation(config(brats_store, **options), **{'folds': 3, **arguments})


@pytest.mark.parametrize(
    ('options', 'validates', 'checkpoint'),
    [
        ({}, False, 'last'),
        (SAVE_BEST, True, 'best'),
        ({'custom_hooks': [dict(type='mmengine.EarlyStoppingHook', monitor='Dice_mean')]}, True, 'last'),
        ({'param_scheduler': [dict(type='ReduceOnPlateauLR', monitor='Dice_mean')]}, True, 'last'),
    ],
)
def test_somebody_validates_where_something_depends_on_it(
    brats_store, tmp_path, options, validates, checkpoint
):
    validation = CrossValidation(config(brats_store, **options), 3)
    assert [bool(splits['val']) for splits in validation.splits] == [validates] * 3
    assert ('validate' in validation.describe()) == validates
    engine = PredictingEngine('fold_0', 'fold_1', 'fold_2')
    (run, *_), _ = validation.run(tmp_path, 1, engine)
    cfg = run.placed(tmp_path)
    assert run.tested == checkpoint and (cfg.val_dataloader is not None) == validates
    if validates:
        assert cfg.val_dataloader.dataset.split == 'val'
        assert cfg.val_dataloader.dataset.splits_file == cfg.test_dataloader.dataset.splits_file
    assert '1 cases take no part' in validation.describe()
